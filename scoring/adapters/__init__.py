"""Adapters: one outside system a file."""
