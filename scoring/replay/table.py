"""Rows of a Parquet, CSV or JSON-lines table as transactions, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.core.transaction import DEFAULT_TENANT, Transaction
from scoring.errors import BadArtifact
from scoring.replay.mapping import (
    NUMBER_FIELDS,
    REAL_FIELDS,
    TEXT_FIELDS,
    TIME_FIELDS,
    TableMapping,
    amount_minor,
    minor_digits,
)
from scoring.training.sql import connect

BATCH_ROWS_MAX = 8_192
_MEMORY_MAX = "1GB"  # DuckDB sorts larger tables through temporary files
_READERS = {
    ".parquet": "read_parquet(?)",
    ".csv": "read_csv(?, all_varchar = false)",
    ".jsonl": "read_json(?, format = 'newline_delimited')",
    ".ndjson": "read_json(?, format = 'newline_delimited')",
    ".json": "read_json(?, format = 'newline_delimited')",
}
_MS_PER_UNIT = {"ms": 1, "s": 1_000}


@dataclass(frozen=True, slots=True)
class Row:
    """One transaction and what the table says it turned out to be.

    `fraud` is None where the table has no label; `known_at_ms` is when the label
    became known.
    """

    transaction: Transaction
    fraud: bool | None
    known_at_ms: int


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span of event time, [from_ms, to_ms)."""

    from_ms: int = 0
    to_ms: int = 2**62


EVERYTHING = Span()


class Table:
    """A table on disk, read through a mapping in event order.

    A table knows no order of processing: the id's 64-bit hash breaks ties.
    Memory is bounded: larger tables are sorted through temporary files.
    """

    def __init__(
        self, path: Path, mapping: TableMapping, *, span: Span = EVERYTHING
    ) -> None:
        self._path = path
        self._mapping = mapping
        self._span = span
        self._types = dict(columns_of(path))
        used = (*mapping.columns.values(), *mapping.attributes.values())
        for column in used:
            if column not in self._types:
                raise BadArtifact(
                    f"{path.name}: has no column {column!r}; it has "
                    f"{', '.join(self._types)}. Correct the mapping, or let "
                    "`scoring replay --describe FILE` propose one"
                )

    @property
    def labelled(self) -> bool:
        """Whether the table says what turned out to be fraud."""
        return "fraud" in self._mapping.columns

    @property
    def untold(self) -> frozenset[str]:
        """Text and number fields of a transaction that the mapping says nothing of."""
        told = {*self._mapping.columns, *self._mapping.constants, "tenant"}
        return frozenset((*TEXT_FIELDS, *NUMBER_FIELDS, *REAL_FIELDS)) - told

    def __len__(self) -> int:
        query = f"SELECT count(*) FROM ({self._query()})"  # noqa: S608 quoted names
        row = _connection().execute(query, self._arguments()).fetchone()
        assert row is not None
        return int(row[0])

    def batches(self, *, label_delay_ms: int | None = None) -> Iterator[list[Row]]:
        """Rows in event order; raises `InvalidTransaction` for an unreadable cell."""
        delay_ms = label_delay_ms
        if delay_ms is None:
            delay_ms = self._mapping.label_delay_ms
        query = f"{self._query()} ORDER BY occurred_at, substr(sha256(id), 1, 16)"
        connection = _connection()
        found = connection.sql(query, params=self._arguments())
        for batch in found.to_arrow_reader(BATCH_ROWS_MAX):
            yield self._rows(batch.to_pydict(), delay_ms)

    def _arguments(self) -> list[Any]:
        return [str(self._path), self._span.from_ms, self._span.to_ms]

    def _query(self) -> str:
        """A projection to our names and plain types, filtered by the span."""
        mapping = self._mapping
        parts = [
            f"{self._expression(field, column)} AS {field}"
            for field, column in mapping.columns.items()
        ]
        parts += [
            f"CAST({_quoted(column)} AS VARCHAR) AS {_quoted('attribute ' + key)}"
            for key, column in mapping.attributes.items()
        ]
        inner = f"SELECT {', '.join(parts)} FROM {_reader(self._path)}"  # noqa: S608
        return f"SELECT * FROM ({inner}) WHERE occurred_at >= ? AND occurred_at < ?"  # noqa: S608

    def _expression(self, field: str, column: str) -> str:
        name, kind = _quoted(column), self._types[column]
        if field in TIME_FIELDS:
            return _time_expression(name, kind, _MS_PER_UNIT[self._mapping.time_unit])
        if field == "fraud":
            return f"CAST({name} AS BOOLEAN)"
        if field in REAL_FIELDS:
            return f"CAST({name} AS DOUBLE)"
        if field in NUMBER_FIELDS:
            return f"coalesce(CAST({name} AS INTEGER), 0)"
        return f"coalesce(CAST({name} AS VARCHAR), '')"

    def _rows(self, columns: dict[str, list[Any]], delay_ms: int) -> list[Row]:
        mapping = self._mapping
        count = len(columns["id"])
        fields = _transaction_columns(columns, mapping, count)
        names = tuple(fields)
        attributes = [(key, columns["attribute " + key]) for key in mapping.attributes]
        frauds = columns.get("fraud") or [None] * count
        known = columns.get("known_at")
        rows = []
        for i, values in enumerate(zip(*fields.values(), strict=True)):
            filled = dict(zip(names, values, strict=True))
            if attributes:
                filled["attributes"] = {k: v[i] for k, v in attributes if v[i]}
            transaction = Transaction(**filled)
            known_at_ms = known[i] if known else None
            if known_at_ms is None:
                known_at_ms = transaction.occurred_at_ms + delay_ms
            rows.append(Row(transaction, frauds[i], known_at_ms))
        return rows


def columns_of(path: Path) -> list[tuple[str, str]]:
    """Names and DuckDB types of a table's columns; raises `BadArtifact`."""
    import duckdb

    if not path.exists() and "*" not in path.name:
        raise BadArtifact(f"{path}: there is no such file")
    query = f"DESCRIBE SELECT * FROM {_reader(path)}"  # noqa: S608 fixed text
    try:
        described = _connection().execute(query, [str(path)]).fetchall()
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise BadArtifact(f"{path.name}: cannot be read as a table: {first}") from error
    return [(row[0], row[1]) for row in described]


def sample_of(path: Path, *, rows: int = 1_000) -> dict[str, list[Any]]:
    """The first values of every column."""
    query = f"SELECT * FROM {_reader(path)} LIMIT {rows:d}"  # noqa: S608 fixed text
    cursor = _connection().execute(query, [str(path)])
    names = [column[0] for column in cursor.description]
    values: list[Sequence[Any]] = list(zip(*cursor.fetchall(), strict=True))
    return {name: list(values[i]) if values else [] for i, name in enumerate(names)}


def _connection() -> Any:
    connection = connect()
    connection.execute(f"SET memory_limit = '{_MEMORY_MAX}'; SET TimeZone = 'UTC'")
    return connection


def _reader(path: Path) -> str:
    suffixes = [s for s in path.suffixes if s not in (".gz", ".zst")]
    reader = _READERS.get(suffixes[-1].lower() if suffixes else "")
    if reader is None:
        raise BadArtifact(
            f"{path.name}: is none of {', '.join(_READERS)} (.gz and .zst allowed)"
        )
    return reader


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _time_expression(name: str, kind: str, ms_per_unit: int) -> str:
    """Milliseconds since 1970 of a time, truncated; naive times are UTC."""
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"(epoch_us({name}) // 1000)"
    if kind == "VARCHAR":
        return f"(epoch_us(CAST({name} AS TIMESTAMPTZ)) // 1000)"
    return f"CAST(floor({name} * {ms_per_unit:d}) AS BIGINT)"


def _transaction_columns(
    columns: dict[str, list[Any]], mapping: TableMapping, count: int
) -> dict[str, list[Any]]:
    """The columns of `Transaction`, constants and amounts filled in."""
    skipped = ("occurred_at", "known_at", "amount", "fraud")
    fields: dict[str, list[Any]] = {"tenant": [DEFAULT_TENANT] * count}
    for field in mapping.columns:
        if field not in skipped:
            fields[field] = columns[field]
    for field, constant in mapping.constants.items():
        fields[field] = [_constant(field, constant)] * count
    fields["occurred_at_ms"] = columns["occurred_at"]
    digits: dict[str, int] = {}
    if mapping.amount_unit == "major":
        digits = {c: minor_digits(c) for c in set(fields["currency"])}
    fields["amount_minor"] = [
        amount_minor(amount, digits.get(currency, 0))
        for amount, currency in zip(columns["amount"], fields["currency"], strict=True)
    ]
    return fields


def _constant(field: str, text: str) -> str | int | float:
    if field in NUMBER_FIELDS:
        return int(text)
    return float(text) if field in REAL_FIELDS else text
