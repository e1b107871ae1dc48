"""What a model bundle says of itself, and which one decides."""
