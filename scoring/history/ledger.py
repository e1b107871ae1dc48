"""The history as one table in the order in which it was processed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scoring import wire
from scoring.core.decision.decision import Door, Outcome
from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.history.archive import (
    FIRST,
    Archive,
    readable,
    refuse_strangers,
    text_sql,
)
from scoring.history.rows import EVENTS, selected
from scoring.ports.check import Check
from scoring.ports.follow_ups import LabelledTransaction, TransactionEvent
from scoring.tables.events import event_from_row
from scoring.training.offline.rates import mark_other_rates
from scoring.training.offline.sql import columns_worked_out, key_of, named
from scoring.training.sql import columns_of, connect
from scoring.v1 import transaction_pb2

Offsets = Mapping[int, int]
_FETCHED_ROWS = 5_000
_FIELDS = selected()
_THREADS = 1  # figures are by the core
# Where an answer given without the store is among those that have a number.
_PLACE = """CASE WHEN processed_seq > 0 THEN processed_seq
    ELSE coalesce(max(processed_seq) OVER (ORDER BY decided_at_ms, processed_seq
        ROWS UNBOUNDED PRECEDING), 0) END"""


@dataclass(frozen=True, slots=True)
class LogSpan:
    """Which part of the log: offsets by topic, from and until (not included)."""

    since: Mapping[str, Offsets] = field(default_factory=dict)
    until: Mapping[str, Offsets] = field(default_factory=dict)

    def of(self, kind: str) -> str:
        """The condition that a row lies in it.

        >>> LogSpan(since={"labels": {0: 7}}).of("labels")
        'coalesce(log_offset >= MAP {0: 7}[log_partition], true)'
        """
        bounds = [
            (self.since.get(kind), ">=", "true"),
            (self.until.get(kind), "<", "false"),
        ]
        parts = [
            f"coalesce(log_offset {op} MAP {{"
            + ", ".join(f"{p}: {offset}" for p, offset in offsets.items())
            + f"}}[log_partition], {else_})"
            for offsets, op, else_ in bounds
            if offsets
        ]
        return " AND ".join(parts) or "true"


EVERYTHING = LogSpan()


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One decided transaction; `decision` is None where it was forgotten."""

    n: int
    check: Check
    outcome: Outcome
    decided_at_ms: int
    decision: bytes | None


class Ledger:
    """What an archive holds between two sets of offsets, in processing order.

    `n` counts from 0. A store numbers what it processes; an answer given without
    the store has no number; its place is where it was decided, by the wall clock. The
    table `other_rates` has the `n` of what other exchange rates converted. Whatever
    reads the files raises `BadArtifact` where they are not the archive's own.
    """

    def __init__(
        self,
        archive: Archive,
        catalogue: Catalogue,
        *,
        lateness_ms: int,
        span: LogSpan = EVERYTHING,
        scratch: Path | None = None,
    ) -> None:
        self.con: Any = connect()
        self.con.execute(f"SET threads = {_THREADS}")
        if scratch is not None:
            self.con.execute(f"SET temp_directory = {text_sql(str(scratch))}")
        self.catalogue = catalogue
        self._span = span
        self._directory = archive.directory
        with readable(self._directory):
            archive.views(self.con)
            refuse_strangers(self.con)
            self._number()
        self._mark_too_late(lateness_ms)
        mark_other_rates(self.con, catalogue.exchange.rates, "history")

    @property
    def _plans(self) -> list[EntityPlan]:
        """What payments are counted in, and may be too late for."""
        return [plan for plan in self.catalogue.plans if not plan.of_events]

    def _number(self) -> None:
        self.con.execute(
            f"""CREATE OR REPLACE TABLE recorded AS
            SELECT * EXCLUDE (features, day) FROM archived_decisions
            WHERE {self._span.of("decisions")}"""  # noqa: S608
        )
        # Whole rows are dear to sort: they stay where they are, and get numbers.
        self.con.execute(
            f"""CREATE OR REPLACE TABLE places AS
            SELECT own, false AS too_late, row_number() OVER (
                ORDER BY place, decided_at_ms, occurred_at_ms, log_partition,
                    log_offset) - 1 AS n
            FROM (SELECT *, {_PLACE} AS place
            FROM (SELECT rowid AS own, * FROM recorded QUALIFY {FIRST["decisions"]}))"""  # noqa: S608
        )
        present = columns_of(self.con, "recorded")
        added = columns_worked_out(present, self.catalogue.keyed)
        columns = ", ".join(["recorded.*", *added])
        self.con.execute(
            f"""CREATE OR REPLACE VIEW history AS SELECT {columns}, too_late, n
            FROM recorded JOIN places ON recorded.rowid = own"""  # noqa: S608
        )

    def _mark_too_late(self, lateness_ms: int) -> None:
        """Mark what the store read and never counted: it was too far behind.

        Too late for one of its entities is too late for all. What is behind the
        newest of everything, counted or not, is looked at row by row.
        """
        (apart,) = self.con.execute(
            """SELECT max(newest - occurred_at_ms) FROM (SELECT occurred_at_ms,
            max(occurred_at_ms) OVER (ORDER BY n) AS newest FROM history)"""
        ).fetchone()
        if (apart or 0) <= lateness_ms:
            return
        behind = (
            " OR ".join(
                f"""(max(occurred_at_ms) OVER (PARTITION BY {key_of(p.fields)}
            ORDER BY n) - {lateness_ms} > occurred_at_ms AND {named(p.fields)})"""
                for p in self._plans
            )
            or "false"
        )
        suspects = self.con.execute(
            f"SELECT count(*) FROM (SELECT {behind} AS late FROM history) WHERE late"  # noqa: S608
        ).fetchone()[0]
        if suspects:
            self._walk(lateness_ms)

    def _walk(self, lateness_ms: int) -> None:
        newest: dict[tuple[str, ...], int] = {}
        late: list[tuple[int]] = []
        for decided in self.decided():
            t = decided.check.transaction
            keys = [
                (plan.name, t.tenant, *own)
                for plan in self._plans
                if (own := plan.tokens(t))
            ]
            at_ms = t.occurred_at_ms
            if any(newest.get(key, 0) - lateness_ms > at_ms for key in keys):
                late.append((decided.n,))
                continue
            for key in keys:
                newest[key] = max(newest.get(key, 0), at_ms)
        if late:
            self.con.executemany("UPDATE places SET too_late = true WHERE n = ?", late)

    @property
    def count(self) -> int:
        """How many transactions."""
        found: int = self.con.execute("SELECT count(*) FROM places").fetchone()[0]
        return found

    @property
    def other_rates(self) -> int:
        """How many were decided by other exchange rates than the catalogue's."""
        found: int = self.con.execute("SELECT count(*) FROM other_rates").fetchone()[0]
        return found

    @property
    def last_place(self) -> int:
        """The highest number that the store gave, 0 for none."""
        found = self.con.execute("SELECT max(processed_seq) FROM history").fetchone()[0]
        return int(found or 0)

    @property
    def newest_ms(self) -> int:
        """When the newest transaction occurred, 0 for none."""
        found = self.con.execute("SELECT max(occurred_at_ms) FROM history").fetchone()[
            0
        ]
        return int(found or 0)

    def decided(self, *, start: int = 0, where: str = "true") -> Iterator[LedgerEntry]:
        """The transactions from number `start` that a condition holds for."""
        cursor = self.con.cursor()
        rows = cursor.execute(
            f"""SELECT n, received_at_ms, decided_at_ms, door, outcome, payload_hash,
            decision, {_FIELDS} FROM history
            WHERE n >= {start} AND {where} ORDER BY n"""  # noqa: S608
        )
        while chunk := rows.fetchmany(_FETCHED_ROWS):
            yield from map(_decided, chunk)

    def labels(self) -> Iterator[LabelledTransaction]:
        """Labels of known transactions, in the order of their arrival.

        The whole archive is looked at for the transaction: it is older than its
        label. What nothing is known of is left out.
        """
        with readable(self._directory):
            yield from self._labels()

    def _labels(self) -> Iterator[LabelledTransaction]:
        fields = selected("d.")
        rows = self.con.cursor().execute(
            f"""WITH l AS (SELECT * FROM labels WHERE {self._span.of("labels")}),
            d AS (SELECT * FROM archived_decisions
                WHERE (tenant, id) IN (SELECT (tenant, transaction_id) FROM l)
                QUALIFY {FIRST["decisions"]})
            SELECT l.version, l.fraud, l.known_at_ms, l.transaction, {fields}
            FROM l LEFT JOIN d ON d.id = l.transaction_id AND d.tenant = l.tenant
            ORDER BY l.known_at_ms, l.tenant, l.transaction_id, l.version"""  # noqa: S608
        )
        while chunk := rows.fetchmany(_FETCHED_ROWS):
            for version, fraud, known_at_ms, embedded, *own in chunk:
                transaction = _transaction(embedded, own)
                if transaction is not None:
                    yield LabelledTransaction(
                        transaction=transaction,
                        version=version,
                        fraud=fraud,
                        known_at_ms=known_at_ms,
                    )

    def events(self) -> Iterator[TransactionEvent]:
        """Lifecycle events of known transactions, as `labels`."""
        with readable(self._directory):
            yield from self._events()

    def _events(self) -> Iterator[TransactionEvent]:
        names = [f"e.{field.name}" for field in EVENTS if field.name != "transaction"]
        rows = self.con.cursor().execute(
            f"""WITH e AS (SELECT * FROM events WHERE {self._span.of("events")}),
            d AS (SELECT * FROM archived_decisions
                WHERE (tenant, id) IN (SELECT (tenant, transaction_id) FROM e)
                QUALIFY {FIRST["decisions"]})
            SELECT e.transaction, {", ".join(names)}, {selected("d.")}
            FROM e LEFT JOIN d ON d.id = e.transaction_id AND d.tenant = e.tenant
            ORDER BY e.known_at_ms, e.tenant, e.transaction_id, e.event_id"""  # noqa: S608
        )
        keys = [name.removeprefix("e.") for name in names]
        while chunk := rows.fetchmany(_FETCHED_ROWS):
            for embedded, *found in chunk:
                row = dict(zip(keys, found, strict=False))
                transaction = _transaction(embedded, found[len(keys) :])
                if transaction is not None:
                    yield TransactionEvent(transaction, event_from_row(row))

    def follow_up_count(self, kind: str) -> int:
        """How many labels or events, those of unknown transactions among them."""
        with readable(self._directory):
            found: int = self.con.execute(
                f"SELECT count(*) FROM {kind} WHERE {self._span.of(kind)}"  # noqa: S608
            ).fetchone()[0]
            return found

    def close(self) -> None:
        """Release the tables."""
        self.con.close()


def _decided(row: tuple[Any, ...]) -> LedgerEntry:
    n, received_at_ms, decided_at_ms, door, outcome, hash_, decision = row[:7]
    t = Transaction(*row[7:])
    check = Check(
        transaction=t,
        payload_hash=hash_ or payload_hash(t),
        received_at_ms=received_at_ms,
        door=Door[door.upper()],
    )
    return LedgerEntry(n, check, Outcome[outcome.upper()], decided_at_ms, decision)


def _transaction(embedded: bytes | None, own: list[Any]) -> Transaction | None:
    if own[1] is not None:
        return Transaction(*own)
    if embedded is None:
        return None
    message = transaction_pb2.Transaction.FromString(embedded)
    return wire.accepted_from_proto(message)
