"""The outbox and the lease as the relay asks for them: a transaction a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Insert, Update, insert, select, update
from sqlalchemy.exc import IntegrityError

from scoring.control.database.database import Database
from scoring.control.database.outbox import ControlOutbox, OutboxRecord
from scoring.control.database.tables import LEASE


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The lease as the database has it; `epoch` rises whenever somebody renews."""

    holder: str
    epoch: int


class RelayedOutbox:
    """The outbox; see `relay.OutboxRows`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unpublished(self, *, count_max: int) -> list[OutboxRecord]:
        """The oldest records that are not published, in order."""
        with self._database.reading() as connection:
            return ControlOutbox(connection).unpublished(count_max=count_max)

    def published(self, sequences: Sequence[int], *, at_ms: int) -> None:
        """Note that these are in the topic."""
        with self._database.writing() as connection:
            ControlOutbox(connection).published(sequences, at_ms=at_ms)

    def prune(self, *, published_before_ms: int, count_max: int = 100) -> int:
        """Delete some of what was published long ago; 0 where all of it is gone."""
        with self._database.writing() as connection:
            return ControlOutbox(connection).prune(
                published_before_ms=published_before_ms, count_max=count_max
            )

    def waiting(self) -> int:
        """How many are not published yet."""
        with self._database.reading() as connection:
            return ControlOutbox(connection).waiting()


class LeaseTable:
    """The lease of one name; see `lease.LeaseRows`.

    `until_ms` is for people who look at the table: nobody decides by it.
    """

    def __init__(
        self, database: Database, name: str, until_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._name = name
        self._until_ms = until_ms

    def read(self) -> LeaseRow | None:
        """The lease; None where nobody ever had it."""
        found = select(LEASE.c.holder, LEASE.c.epoch).where(LEASE.c.name == self._name)
        with self._database.reading() as connection:
            row = connection.execute(found).one_or_none()
        return None if row is None else LeaseRow(row.holder, row.epoch)

    def replace(
        self, seen: LeaseRow | None, new: LeaseRow, clock: Callable[[], float]
    ) -> float | None:
        """Put a lease in place of the one that was seen; None where it is another.

        Returns the clock's time in the transaction, once it waits for no writer.
        """
        try:
            with self._database.writing() as connection:
                written = connection.execute(self._put(seen, new)).rowcount == 1
                return clock() if written else None
        except IntegrityError:  # nobody had it, and another copy was first
            return None

    def _put(self, seen: LeaseRow | None, new: LeaseRow) -> Insert | Update:
        values = {
            "name": self._name,
            "holder": new.holder,
            "epoch": new.epoch,
            "until_ms": self._until_ms(),
        }
        if seen is None:
            return insert(LEASE).values(values)
        of_it = update(LEASE).where(
            LEASE.c.name == self._name,
            LEASE.c.holder == seen.holder,
            LEASE.c.epoch == seen.epoch,
        )
        return of_it.values(values)
