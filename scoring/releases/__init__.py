"""Follows what the control plane released, and keeps the last good on this machine."""
