"""DuckDB by itself: no query brings an extension from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scoring.core.transaction.fields import FieldType

# What keeps a field of each type; a map is kept as JSON.
SQL_TYPES: Mapping[FieldType, str] = {
    FieldType.TEXT: "VARCHAR",
    FieldType.CODE: "VARCHAR",
    FieldType.NAME: "BIGINT",
    FieldType.WHOLE: "BIGINT",
    FieldType.MONEY: "BIGINT",
    FieldType.REAL: "DOUBLE",
    FieldType.INSTANT: "BIGINT",
    FieldType.TEXTS: "VARCHAR",
    FieldType.NUMBERS: "VARCHAR",
}
_ALONE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def connect() -> Any:
    """A DuckDB connection to nothing but memory; a block closes it at its end.

    >>> with connect() as con:
    ...     con.execute("select 1").fetchone()
    (1,)
    """
    import duckdb

    return duckdb.connect(":memory:", config=_ALONE)


def columns_of(con: Any, view: str) -> dict[str, str]:
    """The columns of a table or view, each with its type.

    >>> with connect() as con:
    ...     _ = con.execute("create table t (a integer, b varchar)")
    ...     columns_of(con, "t")
    {'a': 'INTEGER', 'b': 'VARCHAR'}
    """
    return {name: type_ for name, type_, *_ in con.sql(f"DESCRIBE {view}").fetchall()}
