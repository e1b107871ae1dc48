"""The synchronous door."""
