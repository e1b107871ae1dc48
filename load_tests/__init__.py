"""Load against a running service: one file for each question."""
