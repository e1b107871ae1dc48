"""DuckDB by itself: no query brings an extension from elsewhere."""

from __future__ import annotations

from typing import Any

_ALONE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def connect() -> Any:
    """A DuckDB connection to nothing but memory; a block closes it at its end.

    >>> with connect() as con:
    ...     con.execute("select 1").fetchone()
    (1,)
    """
    import duckdb

    return duckdb.connect(":memory:", config=_ALONE)
