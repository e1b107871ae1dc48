"""Many rows into a table at once, as each engine takes them fastest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert

from scoring.control.database.tables import LIST_STAGED

_COLUMNS = ("token", "hash", "until_ms", "reason")
_COPY = f"COPY list_staged (of_import, {', '.join(_COLUMNS)}) FROM STDIN"


def stage(connection: Connection, number: int, rows: Sequence[dict[str, Any]]) -> None:
    """Set the entries of an import aside: a million take some seconds."""
    if connection.dialect.name != "postgresql":
        connection.execute(
            insert(LIST_STAGED), [{"of_import": number, **row} for row in rows]
        )
        return
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row((number, *(row[column] for column in _COLUMNS)))
    finally:
        cursor.close()
