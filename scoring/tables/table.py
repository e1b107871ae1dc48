"""A table of payments on disk, in event order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from scoring.core.transaction.transaction import FIELDS, MAP_FIELDS, Transaction
from scoring.errors import BadArtifact, InvalidTransaction
from scoring.tables.admission import Admission, Aftermath, Row
from scoring.tables.mapping import (
    NUMBER_FIELDS,
    REAL_FIELDS,
    TEXT_FIELDS,
    TableMapping,
)
from scoring.tables.row_accounting import Place, RowAccount
from scoring.tables.source import open_source
from scoring.training.sql import SQL_TYPES, connect

BATCH_ROWS_MAX = 8_192
_MEMORY_MAX = "1GB"  # DuckDB sorts larger tables through temporary files
_ORDER = "ORDER BY occurred_at_ms, substr(sha256(id), 1, 16), number"


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span of event time, [from_ms, to_ms)."""

    from_ms: int = 0
    to_ms: int = 2**62


EVERYTHING = Span()


class Table:
    """A table on disk, read through a mapping in event order.

    A table knows no order of processing: the id's 64-bit hash breaks ties. Every
    row is accounted for. Memory is bounded: larger tables are sorted through
    temporary files.
    """

    def __init__(
        self,
        path: Path,
        mapping: TableMapping,
        *,
        span: Span = EVERYTHING,
        exempt: frozenset[str] = frozenset(),
        strict: bool = False,
    ) -> None:
        self._mapping = mapping
        self._span = span
        self._exempt = exempt
        self._strict = strict
        self._source = open_source(path, encoding=mapping.encoding)
        for column in mapping.used:
            if column not in self._source.columns:
                raise BadArtifact(
                    f"{path.name}: has no column {column!r}; it has "
                    f"{', '.join(self._source.columns)}. Correct the mapping, or let "
                    "`scoring replay --describe FILE` propose one"
                )

    @property
    def labelled(self) -> bool:
        """Whether the table says what turned out to be fraud."""
        return "fraud" in self._mapping.columns

    @property
    def tokenised(self) -> bool:
        """Whether tokens are numbers that this table alone gives."""
        return bool(self._mapping.tokenise)

    @property
    def untold(self) -> frozenset[str]:
        """Text and number fields of a transaction that the mapping says nothing of."""
        told = {*self._mapping.columns, *self._mapping.constants, "id", "tenant"}
        return frozenset((*TEXT_FIELDS, *NUMBER_FIELDS, *REAL_FIELDS)) - told

    @property
    def account(self) -> RowAccount:
        """What became of every row."""
        return self._read[1]

    def __len__(self) -> int:
        return self.account.admitted

    def learned(self, *, label_delay_ms: int | None = None) -> Any:
        """The admitted rows in event order, as a pyarrow table to learn from.

        Its columns are the fields that the mapping says something of, maps as JSON,
        and `fraud` (null: nothing is known), `known_at_ms` and `outcome`.
        """
        delay_ms = self._delay(label_delay_ms)
        fields = [name for name in _FIELDS if name not in self.untold]
        fields += [name for name in MAP_FIELDS if getattr(self._mapping, name)]
        if "outcome" in self._mapping.columns or "outcome" in self._mapping.constants:
            fields.append("outcome")
        known = f"coalesce(known_at_ms, occurred_at_ms + {delay_ms:d}) AS known_at_ms"
        return (
            self._read[0]
            .sql(f"SELECT {', '.join(fields)}, fraud, {known} FROM admitted {_ORDER}")  # noqa: S608 our own names
            .to_arrow_table()
        )

    @property
    def label_delay_ms(self) -> int:
        """How long after the payment its label becomes known, as the mapping says."""
        return self._mapping.label_delay_ms

    def _delay(self, given_ms: int | None) -> int:
        return self._mapping.label_delay_ms if given_ms is None else given_ms

    def batches(self, *, label_delay_ms: int | None = None) -> Iterator[list[Row]]:
        """The admitted rows in event order."""
        delay_ms = self._delay(label_delay_ms)
        found = self._read[0].sql(f"SELECT * FROM admitted {_ORDER}")  # noqa: S608
        for batch in found.to_arrow_reader(BATCH_ROWS_MAX):
            yield [row for _, row in _rows(batch, delay_ms)]

    @cached_property
    def _read(self) -> tuple[Any, RowAccount]:
        """The admitted rows in DuckDB, and what became of the others."""
        connection = _connection()
        connection.execute(f"CREATE TABLE admitted ({_columns_sql()})")
        account = RowAccount(self._strict)
        admitted = self._admitted(account)
        while batch := list(islice(admitted, BATCH_ROWS_MAX)):
            connection.register("batch", _arrow(batch))
            connection.execute("INSERT INTO admitted BY NAME SELECT * FROM batch")
            connection.unregister("batch")
        _leave_out_repeated(connection, account)
        return connection, account

    def _admitted(self, account: RowAccount) -> Iterator[tuple[int, Row, Aftermath]]:
        admission = Admission(
            self._mapping, floats=self._source.floats, exempt=self._exempt
        )
        for record in self._source.records(frozenset(self._mapping.used)):
            account.rows += 1
            place = Place(record.file, record.number)
            try:
                transaction = admission.transaction(record, account.rows)
            except InvalidTransaction as error:
                account.refuse(place, error.field, error.message)
                continue
            at_ms = transaction.occurred_at_ms
            if not self._span.from_ms <= at_ms < self._span.to_ms:
                account.skip(place, "occurred outside the span that was asked for")
                continue
            truth = admission.truth(record, transaction)
            for lack in truth.lacking:
                account.lack(place, lack.what, lack.field, lack.reason)
            yield account.rows, Row(transaction, truth.fraud, 0, place), truth


def _leave_out_repeated(connection: Any, account: RowAccount) -> None:
    """Keep the first of several rows of one id: the same again is skipped, another
    payment under a taken id is refused.
    """
    found = connection.sql(
        "SELECT * FROM admitted WHERE (tenant, id) IN (SELECT (tenant, id) FROM "  # noqa: S608
        f"admitted GROUP BY tenant, id HAVING count(*) > 1) {_ORDER}"
    )
    firsts: dict[tuple[str, str], Row] = {}
    left_out: list[tuple[int]] = []
    for batch in found.to_arrow_reader(BATCH_ROWS_MAX):
        for number, row in _rows(batch, 0):
            t = row.transaction
            first = firsts.setdefault((t.tenant, t.id), row)
            if first is row:
                continue
            left_out.append((number,))
            if first.transaction != t:
                account.refuse(row.place, "id", "is taken by another payment")
            elif (first.fraud, first.known_at_ms) != (row.fraud, row.known_at_ms):
                account.refuse(row.place, "fraud", "differs from the same payment's")
            elif first.outcome != row.outcome:
                account.refuse(row.place, "outcome", "differs from the same payment's")
            else:
                account.skip(row.place, "is the same payment again")
    for start in range(0, len(left_out), BATCH_ROWS_MAX):
        numbers = ", ".join(str(n) for (n,) in left_out[start : start + BATCH_ROWS_MAX])
        connection.execute(f"DELETE FROM admitted WHERE number IN ({numbers})")  # noqa: S608


def _connection() -> Any:
    connection = connect()
    connection.execute(f"SET memory_limit = '{_MEMORY_MAX}'")
    return connection


_FIELDS = tuple(field.name for field in FIELDS if not field.is_map)


def _columns_sql() -> str:
    fields = [f"{field.name} {SQL_TYPES[field.type]}" for field in FIELDS]
    more = "fraud BOOLEAN, known_at_ms BIGINT, outcome VARCHAR, file VARCHAR"
    return f"number BIGINT, {', '.join(fields)}, {more}, place BIGINT"


def _arrow(rows: Iterable[tuple[int, Row, Aftermath]]) -> Any:
    import pyarrow as pa

    rows = list(rows)
    columns: dict[str, Any] = {"number": pa.array([n for n, _, _ in rows], pa.int64())}
    for name in _FIELDS:
        columns[name] = [getattr(row.transaction, name) for _, row, _ in rows]
    for name in REAL_FIELDS:
        columns[name] = pa.array(columns[name], pa.float64())
    columns["amount_minor"] = pa.array(columns["amount_minor"], pa.int64())
    for name in MAP_FIELDS:
        maps = [_json(getattr(row.transaction, name)) for _, row, _ in rows]
        columns[name] = pa.array(maps, pa.string())
    columns["fraud"] = pa.array([truth.fraud for _, _, truth in rows], pa.bool_())
    columns["known_at_ms"] = pa.array(
        [truth.known_at_ms for _, _, truth in rows], pa.int64()
    )
    columns["outcome"] = [truth.outcome for _, _, truth in rows]
    columns["file"] = [row.place.file for _, row, _ in rows]
    columns["place"] = [row.place.number for _, row, _ in rows]
    return pa.table(columns)


def _json(entries: Any) -> str | None:
    return json.dumps(entries) if entries else None


def _rows(batch: Any, delay_ms: int) -> Iterator[tuple[int, Row]]:
    """Rows by their number, each label known `delay_ms` after its payment unless the
    table says when.
    """
    columns = batch.to_pydict()
    fields = [columns[name] for name in _FIELDS]
    for i, values in enumerate(zip(*fields, strict=True)):
        maps = {
            name: json.loads(text) for name in MAP_FIELDS if (text := columns[name][i])
        }
        transaction = Transaction(**dict(zip(_FIELDS, values, strict=True)), **maps)
        known_at_ms = columns["known_at_ms"][i]
        if known_at_ms is None:
            known_at_ms = transaction.occurred_at_ms + delay_ms
        place = Place(columns["file"][i], columns["place"][i])
        yield (
            columns["number"][i],
            Row(
                transaction,
                columns["fraud"][i],
                known_at_ms,
                place,
                columns["outcome"][i],
            ),
        )
