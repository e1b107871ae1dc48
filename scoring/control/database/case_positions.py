"""How far the decisions topic was read, and acts on many cases are: kept with these."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select, update

from scoring.control.database.case_tables import CASE_BULKS, CASE_POSITIONS
from scoring.control.domain.case_bulks import CaseBulk, LeftCase

_P, _B = CASE_POSITIONS.c, CASE_BULKS.c


class CasePositions:
    """Next offsets by partition, by the connection of a transaction.

    They belong to one incarnation of the topic: of another nothing was read.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, topic: str, incarnation: str) -> dict[int, int] | None:
        """Where to read on, by partition; None where it was never read."""
        rows = self._connection.execute(
            select(CASE_POSITIONS).where(_P.topic == topic)
        ).all()
        if not rows:
            return None
        return {
            row.partition: row.next_offset
            for row in rows
            if row.incarnation == incarnation
        }

    def keep(self, topic: str, incarnation: str, ends: Mapping[int, int]) -> None:
        """Note where to read on; nobody who is behind takes it back."""
        known = self.of(topic, incarnation) or {}
        for partition, next_offset in ends.items():
            if known.get(partition, -1) >= next_offset:
                continue
            of_it = delete(CASE_POSITIONS).where(
                _P.topic == topic, _P.partition == partition
            )
            self._connection.execute(of_it)
            values = {"topic": topic, "partition": partition}
            values |= {"incarnation": incarnation, "next_offset": next_offset}
            self._connection.execute(insert(CASE_POSITIONS).values(values))


class CaseBulks:
    """The acts, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, selection: str, by: str) -> CaseBulk | None:
        """What somebody did with a selection; None where they did nothing."""
        found = select(CASE_BULKS).where(_B.selection == selection, _B.by == by)
        row = self._connection.execute(found).first()
        if row is None:
            return None
        values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name of it
        cases = tuple((number, revision) for number, revision in json.loads(row.cases))
        left = tuple(LeftCase(**each) for each in json.loads(row.left))
        return CaseBulk(**values | {"cases": cases, "left": left})

    def begin(self, bulk: CaseBulk) -> None:
        """Keep a new act, in place of one that somebody else began and left undone."""
        of_it = delete(CASE_BULKS).where(_B.selection == bulk.selection)
        self._connection.execute(of_it)
        self._connection.execute(insert(CASE_BULKS), _values(bulk))

    def save(self, bulk: CaseBulk) -> None:
        """Keep how far an act is."""
        of_it = update(CASE_BULKS).where(_B.selection == bulk.selection)
        self._connection.execute(of_it.values(_values(bulk)))

    def forget(self, bulk: CaseBulk) -> None:
        """Keep nothing of an act."""
        of_it = delete(CASE_BULKS).where(_B.selection == bulk.selection)
        self._connection.execute(of_it)


def _values(bulk: CaseBulk) -> dict[str, object]:
    values = {name: getattr(bulk, name) for name in bulk.__slots__}
    left = json.dumps([asdict(each) for each in bulk.left])
    return values | {"cases": json.dumps(bulk.cases), "left": left}
