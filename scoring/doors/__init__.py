"""Who comes in: requests to checks, answers to replies."""
