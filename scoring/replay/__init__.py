"""Replay: a table of past payments through the live path."""
