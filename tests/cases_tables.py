"""Tables as people have them, and what is read of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scoring.tables.admission import Row
from scoring.tables.choose import chosen_mapping
from scoring.tables.mapping import load_mapping
from scoring.tables.table import Table

MAPPING = """
columns: {id: id, occurred_at: timestamp, amount: amount, currency: currency,
  card: card, fraud: is_fraud}
"""
HEADER = "id,timestamp,amount,currency,card,is_fraud"


def csv_file(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "payments.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def good(count: int) -> list[str]:
    return [f"g{i},2024-03-01T10:{i:02d}:00Z,1{i}.50,EUR,c{i},0" for i in range(count)]


def table(path: Path, mapping: str = "", **terms: Any) -> Table:
    chosen = load_mapping(mapping, name="m.yaml") if mapping else chosen_mapping(path)
    return Table(path, chosen, **terms)


def rows_of(read: Table) -> dict[str, Row]:
    return {row.transaction.id: row for batch in read.batches() for row in batch}
