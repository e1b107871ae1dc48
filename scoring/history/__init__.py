"""The history outside the store: archived, rebuilt from, audited and forgotten."""
