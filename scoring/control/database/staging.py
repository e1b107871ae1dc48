"""Many rows into a table at once, as each engine takes them fastest."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from scoring.control.domain.entry_columns import EntryRow

_COLUMNS = "of_import, token, hash, until_ms, reason"
_COPY = f"COPY list_staged ({_COLUMNS}) FROM STDIN"
_INSERT = f"INSERT INTO list_staged ({_COLUMNS}) VALUES ({{}}, ?, ?, ?, ?)"  # noqa: S608 - a number


def stage(connection: Connection, number: int, rows: Sequence[EntryRow]) -> None:
    """Set the entries of an import aside: a million take some seconds."""
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(_INSERT.format(int(number)), list(rows))
        return
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row((number, *row))
    finally:
        cursor.close()
