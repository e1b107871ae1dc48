"""The revisions of lists: one number that rises over all of them."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from scoring.control.database.tables import HEADS


class ListRevisions:
    """The last revision, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def last(self) -> int:
        """The last revision over all lists."""
        found = select(HEADS.c.list_revision)
        return int(self._connection.execute(found).scalar_one())

    def next(self) -> int:
        """The next one; the lock of writers makes it one's own."""
        self.lift(revision := self.last + 1)
        return revision

    def lift(self, revision: int) -> None:
        """Let the next one be above a revision."""
        above = max(revision, self.last)
        self._connection.execute(update(HEADS).values(list_revision=above))
