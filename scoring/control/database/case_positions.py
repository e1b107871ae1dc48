"""How far the decisions topic was read: kept with the cases that were made of it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select

from scoring.control.database.case_tables import CASE_POSITIONS

_P = CASE_POSITIONS.c


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
