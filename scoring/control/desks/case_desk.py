"""What people do with cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from scoring.control.database.cases import CaseNote
from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import UnitOfWork, reading, writing
from scoring.control.desks.case_closing import close_case
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.case_bulks import (
    BULK_MAX,
    CaseBulk,
    LeftCase,
    ShownCase,
    not_shown,
    selection_of,
)
from scoring.control.domain.case_filter import CaseFilter
from scoring.control.domain.cases import (
    NOTES_MAX,
    Case,
    CaseRules,
    ClosingWish,
    checked_note,
    unchanged_since,
)
from scoring.control.domain.people import By, Doing, Person, PersonRole, Right
from scoring.control.domain.wordings import checked_why
from scoring.errors import (
    InvalidTransaction,
    NotFound,
    NotPossible,
    Unauthenticated,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkAct:
    """What is done with each case of a selection: one of the three."""

    closing: ClosingWish | None = None
    to: str = ""
    release: bool = False

    @property
    def said(self) -> str:
        """What it says, as a selection is named by."""
        return repr(self)


@dataclass(frozen=True, slots=True)
class Selection:
    """How many cases an act would be done with, and what names exactly them."""

    count: int
    named: str


class CaseDesk:
    """Every action on cases: each is one transaction with its audit and its records.

    `now_ms` is the clock (UTC). Where an action takes `revision`, it is the one that
    the person read; a case that was changed since raises `ChangedMeanwhile`.

    Blocks on the database. Raises `Denied`, `NotFound`, `NotPossible`,
    `InvalidTransaction` and `DatabaseUnavailable`; then nothing was changed.
    """

    def __init__(
        self, database: Database, now_ms: Callable[[], int], rules: CaseRules
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self.rules = rules

    @property
    def now_ms(self) -> int:
        """The instant at which leases end and cases are overdue."""
        return self._now_ms()

    # One case ------------------------------------------------------------------

    def assign(
        self, by: By, number: int, to: str = "", *, revision: int | None = None
    ) -> Case:
        """A case as somebody's, for as long as a lease lasts; by default one's own."""
        to = _named(to) if to else by.person.name
        with self._doing(by) as (work, doing):
            case = _read(work, number, revision)
            return self._assigned(work, case, to, doing)

    def release(self, by: By, number: int, *, revision: int | None = None) -> Case:
        """A case as nobody's."""
        with self._doing(by) as (work, doing):
            return _released(work, _read(work, number, revision), doing)

    def note(self, by: By, number: int, text: str) -> CaseNote:
        """Write beside a case, closed or not."""
        written = checked_note(text)
        with self._doing(by) as (work, doing):
            case = work.cases.case(number)
            if case.erased:
                raise NotPossible(f"case {number} is erased: nothing is kept beside it")
            before = work.cases.notes(number)
            if before and (before[-1].by, before[-1].text) == (by.person.name, written):
                return before[-1]
            if len(before) >= NOTES_MAX:
                raise NotPossible(f"case {number} has {NOTES_MAX} notes, and no more")
            note = CaseNote(len(before) + 1, by.person.name, doing.at_ms, written)
            work.cases.add_note(number, note)
            record(work, "case.note", case, doing, after={"note": note.note})
            return note

    def close(
        self, by: By, number: int, wish: ClosingWish, *, revision: int | None = None
    ) -> Case:
        """Close a case: its label, and what goes on a list, in one transaction.

        Said again by the same person it changes nothing, and is answered alike.
        """
        _may_close(by.person, wish)
        with self._doing(by) as (work, doing):
            wish = replace(wish, why=doing.why)
            case = work.cases.case(number)
            if case.is_repeated(wish, by.person):
                return case
            unchanged_since(case, revision)
            return close_case(work, case, wish, doing)

    def reopen(self, by: By, number: int, *, revision: int | None = None) -> Case:
        """Open a case again; its label stays until it is closed otherwise."""
        because = "a case is opened again with its reason"
        with self._doing(by, because) as (work, doing):
            case = _read(work, number, revision)
            before = {"verdict": case.closing.wish.verdict} if case.closing else None
            reopened = case.reopened()
            work.cases.save(reopened)
            record(work, "case.reopen", reopened, doing, before=before)
            return reopened

    # Many ----------------------------------------------------------------------

    def selected(self, person: Person, wanted: CaseFilter, act: BulkAct) -> Selection:
        """How many open cases an act would be done with: the dry run."""
        person.needs(Right.WORK_CASES)
        with reading(self._database) as work:
            return self._selection(work, person, wanted, act)[0]

    def bulk(
        self, by: By, wanted: CaseFilter, act: BulkAct, selection: str
    ) -> CaseBulk:
        """Do something with every case of a selection, some in each transaction.

        A case with which it cannot be done is left, with why; where that is so of the
        whole first piece, why is raised and nothing was changed. Interrupted, it is
        continued by saying it again; done, nothing is done again. Raises
        `ChangedMeanwhile` where it is not the selection that was shown.
        """
        if act.closing is not None:
            _may_close(by.person, act.closing)
        while True:
            with self._doing(by) as (work, doing):
                kept = work.case_bulks.of(selection, by.person.name)
                if kept is None:
                    bulk = self._begun(work, wanted, act, doing, selection)
                else:
                    bulk = kept.same_as(_said(wanted, act))
                if not bulk.is_over:
                    bulk = self._further(work, bulk, act, doing)
            if bulk.is_over:
                return bulk
            self._database.give_way()

    def _begun(
        self,
        work: UnitOfWork,
        wanted: CaseFilter,
        act: BulkAct,
        doing: Doing,
        selection: str,
    ) -> CaseBulk:
        found, cases = self._selection(work, doing.person, wanted, act)
        if found.named != selection:
            raise not_shown((f"it has {found.count} cases now",))
        bulk = CaseBulk(
            selection=selection,
            by=doing.person.name,
            at_ms=doing.at_ms,
            count=found.count,
            cases=tuple(cases),
        )
        if cases:
            work.case_bulks.begin(bulk)
        return bulk

    def _further(
        self, work: UnitOfWork, bulk: CaseBulk, act: BulkAct, doing: Doing
    ) -> CaseBulk:
        """Do the next piece."""
        left: list[LeftCase] = []
        rose = False
        for shown in bulk.piece:
            try:
                with work.connection.begin_nested():
                    rose |= self._act(work, shown, act, doing)
            except (NotPossible, NotFound, InvalidTransaction) as error:
                if len(left) == len(bulk.piece) - 1 and not bulk.place:
                    raise  # it cannot be done with any of them
                left.append(LeftCase(shown[0], str(error)))
        bulk = bulk.further(left, rose=rose)
        # Where no revision rose the same selection is met again, by whoever asks:
        # leases that are renewed anew.
        if bulk.is_over and not bulk.rose:
            work.case_bulks.forget(bulk)
        else:
            work.case_bulks.save(bulk)
        return bulk

    def _selection(
        self, work: UnitOfWork, person: Person, wanted: CaseFilter, act: BulkAct
    ) -> tuple[Selection, list[ShownCase]]:
        """The open cases that nobody else has; an admin hands on those, too."""
        if act.to:
            _named(act.to)
        takes_any = PersonRole.ADMIN in person.roles and act.closing is None
        found = work.cases.selected(
            wanted,
            at_ms=self._now_ms(),
            free_for=None if takes_any else person.name,
            count_max=BULK_MAX + 1,
        )
        if len(found) > BULK_MAX:
            raise NotPossible(
                f"more than {BULK_MAX:,} cases are meant, and one act is done with so "
                "many at most; narrow the filter"
            )
        named = selection_of(found, _said(wanted, act))
        return Selection(len(found), named), found

    def _act(
        self,
        work: UnitOfWork,
        shown: ShownCase,
        act: BulkAct,
        doing: Doing,
    ) -> bool:
        """Do it with one case; whether its revision rose."""
        case = _read(work, *shown)
        if act.closing is not None:
            wish = replace(act.closing, why=doing.why)
            after = close_case(work, case, wish, doing)
        elif act.release:
            after = _released(work, case, doing)
        else:
            to = _named(act.to or doing.person.name)
            after = self._assigned(work, case, to, doing)
        return after.revision != case.revision

    # Reading -------------------------------------------------------------------

    @contextmanager
    def read(self, person: Person) -> Iterator[UnitOfWork]:
        """What is kept, as of one instant, for whoever may read."""
        person.needs(Right.READ)
        with reading(self._database) as work:
            yield work

    # ---------------------------------------------------------------------------

    def _assigned(self, work: UnitOfWork, case: Case, to: str, doing: Doing) -> Case:
        assigned = case.assigned(to, doing, self.rules.lease_ms)
        work.cases.save(assigned)
        if assigned.revision != case.revision:
            before = {"assignee": case.holder(doing.at_ms)}
            after = {"assignee": to}
            record(work, "case.assign", case, doing, before=before, after=after)
        return assigned

    @contextmanager
    def _doing(self, by: By, *because: str) -> Iterator[tuple[UnitOfWork, Doing]]:
        by.person.needs(Right.WORK_CASES)
        why = checked_why(by.why, because=because)
        with writing(self._database) as work:
            yield work, replace(by, why=why).at(self._now_ms())


def record(
    work: UnitOfWork,
    action: str,
    case: Case,
    doing: Doing,
    **written: dict[str, Any] | None,
) -> None:
    """Add what was done with a case to the audit."""
    change = Change(action=action, subject=f"case {case.number}", **written)
    work.audit.record(change, doing)


def _read(work: UnitOfWork, number: int, revision: int | None) -> Case:
    case = work.cases.case(number)
    unchanged_since(case, revision)
    return case


def _released(work: UnitOfWork, case: Case, doing: Doing) -> Case:
    released = case.released(doing)
    if released is not case:
        work.cases.save(released)
        before = {"assignee": case.assignee}
        record(work, "case.release", released, doing, before=before)
    return released


def _may_close(person: Person, wish: ClosingWish) -> None:
    person.needs(Right.WORK_CASES)
    if wish.listings:
        person.needs(Right.CHANGE_LISTS)


def _said(wanted: CaseFilter, act: BulkAct) -> str:
    """What is done with which cases, in words."""
    return f"{wanted.said}\n{act.said}"


def _named(name: str) -> str:
    """Somebody's name as it is known; raises `InvalidTransaction`."""
    try:
        return Person(name, frozenset()).name
    except Unauthenticated as error:
        raise InvalidTransaction("to", str(error)) from error
