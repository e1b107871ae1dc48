"""A payment attempt: its fields, limits, identity, tokens and labels."""
