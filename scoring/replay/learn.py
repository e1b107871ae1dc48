"""A labelled table to learn from, read and accounted for as a replay reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.errors import BadArtifact
from scoring.replay.screen import print_account
from scoring.settings import Settings
from scoring.tables.mapping import TableMapping
from scoring.tables.row_accounting import RowAccount
from scoring.tables.table import Table

Hearer = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Learned:
    """Rows with labels, as a pyarrow table of our fields, and what became of the
    others.

    A label is known `label_delay_ms` after its payment, where the table says no
    better.
    """

    rows: Any
    label_delay_ms: int
    account: RowAccount
    events: Any = None  # lifecycle events of the rows, where there are any


def learned(
    path: Path,
    mapping: TableMapping,
    settings: Settings,
    *,
    label_delay_ms: int | None = None,
    strict: bool = False,
) -> Learned:
    """Read a table to learn from, and tell what was left out of it.

    All that was left out is listed in the state directory. Raises `BadArtifact` where
    there is nothing to learn from.
    """
    table = Table(path, mapping, exempt=settings.numeric_ids, strict=strict)
    print_account(table.account, left_out_of(path, settings))
    rows = labelled_transactions_of(table, label_delay_ms=label_delay_ms)
    delay_ms = mapping.label_delay_ms if label_delay_ms is None else label_delay_ms
    return Learned(rows, delay_ms, table.account)


def left_out_of(path: Path, settings: Settings) -> Path:
    """Where the rows that are left out of a table are listed.

    >>> left_out_of(Path("a/t.csv"), Settings(state_dir=Path("s"))).as_posix()
    's/tables/t.left-out.csv'
    """
    name = path.name.partition(".")[0].replace("*", "_")
    return settings.state_dir / "tables" / f"{name or 'table'}.left-out.csv"


def labelled_transactions_of(table: Table, *, label_delay_ms: int | None = None) -> Any:
    """A labelled table as a pyarrow table of our fields, to learn from.

    Raises `BadArtifact` where the mapping names no label, or no row has one.
    """
    if not table.labelled:
        raise BadArtifact(
            "mapping: names no column for fraud; a model learns from what was found out"
        )
    found = table.learned(label_delay_ms=label_delay_ms)
    if found["fraud"].null_count == len(found):
        raise BadArtifact(
            f"table: no row with a label can be learned from: {table.account.sum}"
        )
    return found
