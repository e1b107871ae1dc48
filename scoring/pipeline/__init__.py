"""One pipeline for every door; start reading at scorer.py."""
