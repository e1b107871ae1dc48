"""Offline: simulate, features by DuckDB, train, export, evaluate. Never imported by serving."""
