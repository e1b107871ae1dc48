"""The rules of the control plane, pure: no clock, no database, no transport."""
