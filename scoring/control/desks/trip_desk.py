"""What the breaker stopped, as replicas report it: each in the audit, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import UnitOfWork, reading, writing
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.people import Doing, Person
from scoring.core.release.replica import Trip

_ACTION = "policy.trip"
_ITSELF = Person("the breaker", frozenset(), "reported by replicas")


@dataclass(slots=True)
class TripDesk:
    """Records what tripped; blocks on the database.

    Every replica reports it every second, and every copy of the control plane hears
    them: one policy, rule and instant is one trip, whoever says so.
    """

    database: Database
    now_ms: Callable[[], int]
    _recorded: set[Trip] = field(default_factory=set)

    def record(self, trips: Iterable[Trip]) -> None:
        """Record those that the audit does not have; raises `DatabaseUnavailable`."""
        new = sorted(
            set(trips) - self._recorded,
            key=lambda trip: (trip.at_ms, trip.policy, trip.rule),
        )
        if not new:
            return
        with reading(self.database) as work:
            missing = [trip for trip in new if not _is_recorded(work, trip)]
        if missing:
            with writing(self.database) as work:
                doing = Doing(_ITSELF, self.now_ms())
                for trip in missing:
                    _record(work, trip, doing)
        self._recorded.update(new)


def _record(work: UnitOfWork, trip: Trip, doing: Doing) -> None:
    if _is_recorded(work, trip):  # by another copy, before this one's turn to write
        return
    subject, after = _subject(trip), asdict(trip)
    work.audit.record(Change(action=_ACTION, subject=subject, after=after), doing)


def _is_recorded(work: UnitOfWork, trip: Trip) -> bool:
    known = work.audit.entries(subject=_subject(trip), action=_ACTION)
    return any(_named(json.loads(each.after)) == _named(asdict(trip)) for each in known)


def _named(trip: dict[str, object]) -> tuple[object, ...]:
    return trip["policy"], trip["rule"], trip["at_ms"]


def _subject(trip: Trip) -> str:
    return f"version {trip.policy}"
