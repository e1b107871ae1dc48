"""What a database lacks of the tables that this release declares."""

from __future__ import annotations

from sqlalchemy import Connection, inspect

from scoring.control.database.backtest_tables import BACKTEST_JOBS
from scoring.control.database.case_tables import CASES
from scoring.control.database.tables import HEADS

_DECLARED = {table.metadata for table in (HEADS, CASES, BACKTEST_JOBS)}


def lacking(connection: Connection) -> list[str]:
    """The tables, and the columns of others as `table.column`, that are not there."""
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    found = []
    for table in (each for part in _DECLARED for each in part.sorted_tables):
        if table.name not in there:
            found.append(table.name)
            continue
        columns = {each["name"] for each in inspector.get_columns(table.name)}
        names = (column.name for column in table.columns)
        found += [f"{table.name}.{name}" for name in names if name not in columns]
    return found
