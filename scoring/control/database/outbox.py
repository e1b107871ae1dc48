"""Records on their way to the topic `control`, written with what they tell of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from scoring.control.database.tables import HEADS, OUTBOX
from scoring.core.release.policy_release import POLICY_KEY

_WAITS = OUTBOX.c.published_at_ms.is_(None)


@dataclass(frozen=True, slots=True)
class OutboxRecord:
    """A record of the topic; `value` None deletes its key."""

    sequence: int
    key: str
    value: bytes | None


class ControlOutbox:
    """The records, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, key: str, value: bytes | None) -> int:
        """Add a record; its sequence, above every one before it."""
        sequence = self._connection.execute(
            select(HEADS.c.outbox_sequence)
        ).scalar_one()
        record = {"sequence": sequence + 1, "key": key, "value": value}
        self._connection.execute(insert(OUTBOX), record)
        self._connection.execute(update(HEADS).values(outbox_sequence=sequence + 1))
        return int(sequence) + 1

    def add_all(self, records: Sequence[tuple[str, bytes | None]]) -> None:
        """Add records in their order, many at a time."""
        if not records:
            return
        before = self._connection.execute(select(HEADS.c.outbox_sequence)).scalar_one()
        rows = [
            {"sequence": before + place, "key": key, "value": value}
            for place, (key, value) in enumerate(records, 1)
        ]
        self._connection.execute(insert(OUTBOX), rows)
        ended = before + len(rows)
        self._connection.execute(update(HEADS).values(outbox_sequence=ended))

    def holds(self, key: str) -> bool:
        """Whether a record of this key was ever added and not taken out."""
        found = select(exists().where(OUTBOX.c.key == key))
        return bool(self._connection.execute(found).scalar_one())

    def newest(self, key: str) -> OutboxRecord | None:
        """The newest record of a key, published or not; None where there is none."""
        of_it = select(OUTBOX).where(OUTBOX.c.key == key)
        return self._first(of_it.order_by(OUTBOX.c.sequence.desc()).limit(1))

    def at(self, sequence: int) -> OutboxRecord | None:
        """The record with a sequence; None where there is none."""
        return self._first(select(OUTBOX).where(OUTBOX.c.sequence == sequence))

    def waiting_until(self, sequence: int) -> list[OutboxRecord]:
        """Those that are not published, up to a sequence."""
        of_them = select(OUTBOX).where(_WAITS, OUTBOX.c.sequence <= sequence)
        rows = self._connection.execute(of_them.order_by(OUTBOX.c.sequence))
        return [OutboxRecord(row.sequence, row.key, row.value) for row in rows]

    @property
    def last_published(self) -> int:
        """The highest sequence that the log acknowledged; 0: none."""
        found = select(func.max(OUTBOX.c.sequence)).where(~_WAITS)
        return int(self._connection.execute(found).scalar_one() or 0)

    @property
    def last(self) -> int:
        """The highest sequence that was ever given."""
        return int(
            self._connection.execute(select(HEADS.c.outbox_sequence)).scalar_one()
        )

    def lift(self, above: int) -> None:
        """Give what waits, and what comes, sequences above one; their order stays."""
        last = max(self.last, above)
        waits = select(func.min(OUTBOX.c.sequence)).where(_WAITS)
        first = self._connection.execute(waits).scalar_one()
        if first is not None:
            # By more than their span, so that none meets another on its way.
            by = last + 1 - first
            moved = {"sequence": OUTBOX.c.sequence + by}
            self._connection.execute(update(OUTBOX).where(_WAITS).values(moved))
            last += by
        self._connection.execute(update(HEADS).values(outbox_sequence=last))

    def replace(self, record: OutboxRecord) -> None:
        """Put another value in place of a record's."""
        of_it = update(OUTBOX).where(OUTBOX.c.sequence == record.sequence)
        self._connection.execute(of_it.values(value=record.value))

    def note(self, record: OutboxRecord, *, at_ms: int) -> None:
        """Keep what the topic holds under a sequence, as what was published."""
        of_it = delete(OUTBOX).where(OUTBOX.c.sequence == record.sequence)
        self._connection.execute(of_it)
        values = {"sequence": record.sequence, "key": record.key}
        new = insert(OUTBOX).values(**values, value=record.value, published_at_ms=at_ms)
        self._connection.execute(new)

    def withdraw(self) -> None:
        """Let every text and the newest release wait once more; forget the rest.

        For a topic that lost what was published.
        """
        release = self.newest(POLICY_KEY)
        number = 0 if release is None else release.sequence
        is_text = OUTBOX.c.key.like(f"{POLICY_KEY}/%")
        kept = or_(is_text, OUTBOX.c.sequence == number)
        self._connection.execute(delete(OUTBOX).where(~_WAITS, ~kept))
        self._connection.execute(update(OUTBOX).values(published_at_ms=None))

    def prune(self, *, published_before_ms: int, count_max: int) -> int:
        """Delete some of what was published before a time; how many, 0: all are gone.

        Every text stays, the newest release, and the highest record: all that `agree`
        compares with the topic, or that a topic which was lost is told again.
        """
        of_releases = func.coalesce(func.max(OUTBOX.c.sequence), 0)
        newest = select(of_releases).where(OUTBOX.c.key == POLICY_KEY, ~_WAITS)
        # Its time lies behind a value of half a megabyte: few rows are asked for it.
        oldest = (
            select(OUTBOX.c.sequence)
            .where(
                OUTBOX.c.key.not_like(f"{POLICY_KEY}/%"),
                OUTBOX.c.sequence < self.last_published,
                OUTBOX.c.sequence != newest.scalar_subquery(),
            )
            .order_by(OUTBOX.c.sequence)
            .limit(count_max)
        )
        old = OUTBOX.c.published_at_ms < published_before_ms
        sequences = self._connection.execute(oldest).scalars().all()
        of_them = delete(OUTBOX).where(OUTBOX.c.sequence.in_(sequences), old)
        return self._connection.execute(of_them).rowcount

    def unpublished(self, *, count_max: int) -> list[OutboxRecord]:
        """The next records to publish, in order."""
        rows = self._connection.execute(
            select(OUTBOX.c.sequence, OUTBOX.c.key, OUTBOX.c.value)
            .where(_WAITS)
            .order_by(OUTBOX.c.sequence)
            .limit(count_max)
        )
        return [OutboxRecord(row.sequence, row.key, row.value) for row in rows]

    def published(self, sequences: Sequence[int], *, at_ms: int) -> None:
        """Note that the log acknowledged these."""
        of_them = update(OUTBOX).where(OUTBOX.c.sequence.in_(sequences))
        self._connection.execute(of_them.values(published_at_ms=at_ms))

    def waiting(self) -> int:
        """How many are not published yet."""
        found = select(func.count()).where(_WAITS)
        return int(self._connection.execute(found).scalar_one())

    def _first(self, found: Select[Any]) -> OutboxRecord | None:
        row = self._connection.execute(found).first()
        return None if row is None else OutboxRecord(row.sequence, row.key, row.value)
