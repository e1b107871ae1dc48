"""Labels of closed cases: kept with the closing, and on their way to their topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from scoring.control.database.case_tables import CASE_LABELS
from scoring.control.database.database import Database
from scoring.control.database.outbox import OutboxRecord
from scoring.control.database.rows import next_number

_L = CASE_LABELS.c


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLabel:
    """A label that a closing wrote; `published_at_ms` None while it waits."""

    version: int
    verdict: int
    known_at_ms: int
    published_at_ms: int | None = None


class CaseLabels:
    """The labels, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, case_number: int) -> list[CaseLabel]:
        """The labels of a case, by their versions."""
        found = select(CASE_LABELS).where(_L.case_number == case_number)
        rows = self._connection.execute(found.order_by(_L.version))
        names = CaseLabel.__slots__
        return [
            CaseLabel(**{name: getattr(row, name) for name in names}) for row in rows
        ]

    def add(
        self, case_number: int, label: CaseLabel, *, key: str, value: bytes
    ) -> None:
        """Put a label on its way: its record's key and value."""
        values = {name: getattr(label, name) for name in CaseLabel.__slots__}
        values |= {"case_number": case_number, "key": key, "value": value}
        values["sequence"] = next_number(self._connection, _L.sequence)
        self._connection.execute(insert(CASE_LABELS), values)

    def forget(self, case_number: int) -> None:
        """Forget whose a case's labels are; those that wait keep it until they left."""
        gone = update(CASE_LABELS).where(
            _L.case_number == case_number, _L.published_at_ms.is_not(None)
        )
        self._connection.execute(gone.values(key=""))


class LabelOutbox:
    """The labels as a relay asks for them; see `relay.OutboxRows`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unpublished(self, *, count_max: int) -> list[OutboxRecord]:
        """The oldest labels that are not published, in order."""
        found = select(_L.sequence, _L.key, _L.value).where(
            _L.published_at_ms.is_(None)
        )
        with self._database.reading() as connection:
            rows = connection.execute(found.order_by(_L.sequence).limit(count_max))
            return [OutboxRecord(row.sequence, row.key, row.value) for row in rows]

    def published(self, sequences: Sequence[int], *, at_ms: int) -> None:
        """Note that these are in the topic; neither contents nor keys are kept."""
        of_them = update(CASE_LABELS).where(_L.sequence.in_(sequences))
        with self._database.writing() as connection:
            told = of_them.values(published_at_ms=at_ms, key="", value=None)
            connection.execute(told)

    def waiting(self) -> int:
        """How many are not published yet."""
        found = select(func.count()).where(_L.published_at_ms.is_(None))
        with self._database.reading() as connection:
            return int(connection.execute(found).scalar_one())
