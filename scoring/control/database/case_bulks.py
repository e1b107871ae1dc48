"""Acts on many cases in the database: who says one again is told the same."""

from __future__ import annotations

import json
from dataclasses import asdict

from sqlalchemy import Connection, delete, select, update

from scoring.control.database.case_tables import CASE_BULKS
from scoring.control.database.rows import saved
from scoring.control.domain.case_bulks import CaseBulk, LeftCase

_B = CASE_BULKS.c


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
        saved(self._connection, CASE_BULKS, _values(bulk), new=True)

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
