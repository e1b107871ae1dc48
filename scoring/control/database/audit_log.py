"""The audit's entries in the database: added in the transaction of what they record."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, insert, select, update

from scoring.control.database.rows import entry_from, entry_values
from scoring.control.database.tables import AUDIT, HEADS
from scoring.control.domain.audit_chain import AuditEntry, Change, Head, chained
from scoring.control.domain.people import Doing

_PAGE = 1_000


class AuditLog:
    """The entries, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def head(self) -> Head:
        """The last entry."""
        row = self._connection.execute(
            select(HEADS.c.audit_sequence, HEADS.c.audit_hash)
        ).one()
        return Head(row.audit_sequence, row.audit_hash)

    def record(self, change: Change, doing: Doing) -> AuditEntry:
        """Add an entry after the last one; only a writing transaction may."""
        entry = chained(self.head, change, doing)
        self._connection.execute(insert(AUDIT), entry_values(entry))
        self._connection.execute(
            update(HEADS).values(audit_sequence=entry.sequence, audit_hash=entry.hash)
        )
        return entry

    def entries(
        self,
        *,
        after: int = 0,
        subject: str = "",
        action: str = "",
        count_max: int | None = None,
    ) -> Iterator[AuditEntry]:
        """Entries in order, of a subject or action where one is named."""
        found = select(AUDIT).where(AUDIT.c.sequence > after)
        if subject:
            found = found.where(AUDIT.c.subject == subject)
        if action:
            found = found.where(AUDIT.c.action == action)
        # Of the statement, not of the connection: what it does later is not paged.
        found = found.order_by(AUDIT.c.sequence).limit(count_max)
        rows = self._connection.execute(found.execution_options(yield_per=_PAGE))
        for row in rows:
            yield entry_from(row)

    def newest(
        self, *, below: int | None, subject: str, action: str, count_max: int
    ) -> list[AuditEntry]:
        """The newest entries before a sequence, the newest first."""
        found = select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(count_max)
        if below is not None:
            found = found.where(AUDIT.c.sequence < below)
        if subject:
            found = found.where(AUDIT.c.subject == subject)
        if action:
            found = found.where(AUDIT.c.action == action)
        return [entry_from(row) for row in self._connection.execute(found)]
