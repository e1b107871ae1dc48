"""The Fraud Detection Handbook: its protocols, its table, what was published."""
