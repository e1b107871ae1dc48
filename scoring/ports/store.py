"""The store as a whole: every role, how it fails, and how it ends."""

from __future__ import annotations

from typing import Protocol

from scoring.ports.follow_ups import FollowUpStore
from scoring.ports.history import HistoryStore
from scoring.ports.outbox import Outbox
from scoring.ports.records import RecordStore
from scoring.ports.tallies import TallyStore


class StoreHealth(Protocol):
    """Whether there is a store to ask."""

    async def ping(self, *, timeout_s: float | None = None) -> bool:
        """Whether all of the store takes our writes, or only a part of a cluster.

        Raises `StoreUnavailable` where none of it does, `HistoryLost` where its
        history is not there.
        """
        ...

    async def close(self) -> None:
        """Release connections; the store is unusable afterwards."""
        ...


class Store(HistoryStore, RecordStore, Outbox, FollowUpStore, StoreHealth, Protocol):
    """Feature state and decision records: all the roles of one store.

    Every method of every role raises `StoreUnavailable` when the store fails, as
    `StoreLate` when it does not answer within `timeout_s`; whether the update happened
    is then unknown, and repeating it is safe. A store without its history is
    `HistoryLost`: nothing is written there, whatever the method.
    """

    @property
    def tallies(self) -> TallyStore:
        """What all processes count together, which needs no history."""
        ...
