"""Records on their way to the topic `control`, written with what they tell of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, insert, select, update

from scoring.control.database.tables import HEADS, OUTBOX


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
        self._connection.execute(
            insert(OUTBOX).values(sequence=sequence + 1, key=key, value=value)
        )
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

    def unpublished(self, *, count_max: int) -> list[OutboxRecord]:
        """The next records to publish, in order."""
        rows = self._connection.execute(
            select(OUTBOX.c.sequence, OUTBOX.c.key, OUTBOX.c.value)
            .where(OUTBOX.c.published_at_ms.is_(None))
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
        found = select(func.count()).where(OUTBOX.c.published_at_ms.is_(None))
        return int(self._connection.execute(found).scalar_one())
