"""Managed lists in the data plane: mapped from a file that all processes share."""
