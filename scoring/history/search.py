"""Finds archived payments by their id, beside a running stream door."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from scoring.core.transaction.transaction import Transaction
from scoring.doors.stream.transaction_lookup import Archived
from scoring.history.archive import FIRST, Archive
from scoring.history.rows import selected
from scoring.training.sql import connect

log = logging.getLogger(__name__)
_FIELDS = selected()
_TRIES = 2  # a file may go while it is read: `scoring archive` clears after itself
Key = tuple[str, str]  # tenant, transaction id


@dataclass(frozen=True, slots=True)
class ArchiveSearch:
    """Looks through the decisions of an archive; reads only the columns it needs."""

    archive: Archive

    async def payments(self, keys: Sequence[Key]) -> Archived:
        """What is archived of these, and how far the archive has come.

        Nothing of either where the archive cannot be read: the log says so.
        """
        return await asyncio.to_thread(self._payments, keys)

    def _payments(self, keys: Sequence[Key]) -> Archived:
        for _ in range(_TRIES):
            try:
                return self._found(keys)
            except (OSError, duckdb.Error) as error:
                why = error
        log.warning("%s cannot be searched for labels: %s", self.archive.directory, why)
        return Archived()

    def _found(self, keys: Sequence[Key]) -> Archived:
        # Before: what comes later is read twice.
        taken = self.archive.offsets("decisions")
        topic = self.archive.incarnation("decisions")
        with connect() as con:
            con.execute("SET threads = 1")  # the doors need the others
            self.archive.views(con)
            names = [{"tenant": tenant, "id": id_} for tenant, id_ in keys]
            con.register("wanted", pa.Table.from_pylist(names))
            rows = con.execute(
                f"""SELECT {_FIELDS} FROM archived_decisions
                SEMI JOIN wanted USING (tenant, id) QUALIFY {FIRST["decisions"]}"""  # noqa: S608
            ).fetchall()
        found = [Transaction(*row) for row in rows]
        # What of the topic of today: the archive counts on over those before it.
        own = {p: max(end - topic.base.get(p, 0), 0) for p, end in taken.items()}
        return Archived({(t.tenant, t.id): t for t in found}, own, topic.id)
