"""The offline engine: every stored slot of a whole table, by DuckDB."""
