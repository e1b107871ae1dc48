"""How decisions become cases: each transaction once, however often it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import UnitOfWork, writing
from scoring.control.desks.decided import ReadDecision
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.cases import CaseRules, opened
from scoring.control.domain.people import Doing, Person

_ERASED_COUNT = 500  # in one transaction: others can write in between
_ITSELF = Person("retention", frozenset(), "control")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionBatch:
    """Decisions in the order in which they were read, and how far that was."""

    topic: str
    incarnation: str
    ends: Mapping[int, int] = field(default_factory=dict)
    decisions: Sequence[ReadDecision] = ()


class CaseAdmission:
    """Makes cases of decisions, with the position up to which they were read.

    Both are one transaction: what is read again, by this copy or another, makes no
    second case. Blocks on the database; raises `DatabaseUnavailable`.
    """

    def __init__(
        self, database: Database, now_ms: Callable[[], int], rules: CaseRules
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._rules = rules

    def positions(self, topic: str, incarnation: str) -> dict[int, int] | None:
        """Where to read on, by partition; None where it was never read."""
        with self._database.reading() as connection:
            return UnitOfWork(connection).case_positions.of(topic, incarnation)

    def awaited(self) -> set[tuple[str, str]]:
        """The keys of open cases whose decision was provisional."""
        with self._database.reading() as connection:
            return UnitOfWork(connection).cases.provisional_keys()

    def admit(self, batch: DecisionBatch) -> int:
        """Make cases of a batch; returns how many are new."""
        with writing(self._database) as work:
            count = self._admitted(work, batch)
            work.case_positions.keep(batch.topic, batch.incarnation, batch.ends)
            return count

    def _admitted(self, work: UnitOfWork, batch: DecisionBatch) -> int:
        keys = {each.decided.key for each in batch.decisions}
        before = work.cases.by_keys(sorted(keys))
        number, at_ms = work.cases.next_number(), self._now_ms()
        cases, raw = dict(before), {}
        for read in batch.decisions:
            key = read.decided.key
            if (case := cases.get(key)) is not None:
                after = case.decided_again(read.decided)
            elif read.goes_to_people:
                next_ = number + len(cases) - len(before)
                due_ms = self._rules.due_ms
                after = opened(next_, read.decided, at_ms=at_ms, due_ms=due_ms)
            else:
                continue
            if after is not case:
                cases[key], raw[key] = after, read.raw
        work.cases.add_all([(cases[key], raw[key]) for key in raw if key not in before])
        for key in raw.keys() & before.keys():
            work.cases.save_decided(before[key], cases[key], raw[key])
        return len(cases) - len(before)

    def erase_old(self) -> int:
        """Erase what is personal in cases that were closed long ago; how many."""
        at_ms = self._now_ms()
        before_ms = at_ms - self._rules.kept_ms
        with self._database.reading() as connection:
            cases = UnitOfWork(connection).cases
            if not cases.to_be_erased(closed_before_ms=before_ms, count_max=1):
                return 0
        with writing(self._database) as work:
            old = work.cases.to_be_erased(
                closed_before_ms=before_ms, count_max=_ERASED_COUNT
            )
            for case in old:
                work.cases.erase(case.forgotten())
                work.case_labels.forget(case.number)
            if old:
                after = {"count": len(old), "closed_before_ms": before_ms}
                change = Change(action="case.erase", subject="cases", after=after)
                work.audit.record(change, Doing(_ITSELF, at_ms))
            return len(old)
