"""One benchmark for one question: `make bench NAME=<file>`; the last line is JSON."""
