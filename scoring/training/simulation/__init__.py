"""A simulated world of payments with known frauds."""
