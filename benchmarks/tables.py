"""What it costs to read a table row by row, as text, beside the same table in SQL.

    make bench NAME=tables [ROWS=100000]

One CSV file of ten columns is read by the reader that all commands share (parsed,
admitted by the rules of the doors, brought into event order), to be learned from and
to be replayed (as transactions), and by DuckDB, which guesses types, converts and
sorts, and refuses nothing. All by the CPU, best of three.
The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from scoring.tables.mapping import load_mapping
from scoring.tables.table import Table
from scoring.training.sql import connect

ROWS, ROUNDS = int(os.environ.get("ROWS", "100000")), 3
HEADER = "id,at,amount,currency,card,customer,merchant,terminal,mcc,fraud"
MAPPING = """
columns: {id: id, occurred_at: at, amount: amount, currency: currency, card: card,
  customer: customer, merchant: merchant, terminal: terminal, merchant_category: mcc,
  fraud: fraud}
"""
SQL = """SELECT id, epoch_ms("at") AS occurred_at_ms,
    round(amount * 100)::BIGINT AS amount_minor, currency, card, customer, merchant,
    terminal, mcc, fraud = 1 AS fraud
FROM read_csv('{}') ORDER BY occurred_at_ms, sha256(id)"""


def write(path: Path) -> None:
    with path.open("w") as out:
        out.write(HEADER + "\n")
        for i in range(ROWS):
            minute, second = divmod(i * 7 % 86_400, 60)
            at = f"2024-03-{1 + i % 28:02d}T{minute // 60:02d}:{minute % 60:02d}"
            out.write(
                f"t{i:08d},{at}:{second:02d}Z,{i % 500}.{i % 100:02d},EUR,"
                f"tok-{i % 9_000:06d},cus-{i % 7_000:06d},m-{i % 800},pos-{i % 1_500},"
                f"{5_411 + i % 2 * 401},{int(i % 97 == 0)}\n"
            )


def learned(path: Path) -> None:
    table = Table(path, load_mapping(MAPPING, name="mapping"))
    assert len(table.learned()) == ROWS, list(table.account.lines())


def replayed(path: Path) -> None:
    table = Table(path, load_mapping(MAPPING, name="mapping"))
    assert sum(map(len, table.batches())) == ROWS, list(table.account.lines())


def sql(path: Path) -> None:
    with connect() as con:
        con.execute("SET threads = 1")
        assert len(con.sql(SQL.format(path)).to_arrow_table()) == ROWS


def us_per_row(read: Callable[[Path], None], path: Path) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = process_time()
        read(path)
        taken.append(process_time() - began)
    return round(min(taken) / ROWS * 1e6, 1)


def main() -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "payments.csv"
        write(path)
        ways = {"learned": learned, "replayed": replayed, "sql": sql}
        found = {
            f"us_per_row_{way}": us_per_row(read, path) for way, read in ways.items()
        }
    print(json.dumps({"rows": ROWS, **found}))


if __name__ == "__main__":
    main()
