"""What a policy would have done: the same rules as SQL over decided payments."""
