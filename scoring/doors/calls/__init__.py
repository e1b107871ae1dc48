"""What can be called, whatever transport brings the call and carries the reply."""
