"""A decision, and the words that it is made of."""
