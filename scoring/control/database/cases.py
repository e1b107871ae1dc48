"""Cases in the database: the queue, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from scoring.control.database.case_rows import (
    case_from,
    case_values,
    tags_of,
)
from scoring.control.database.case_tables import (
    CASE_DECISIONS,
    CASE_NOTES,
    CASE_TAGS,
    CASES,
)
from scoring.control.database.rows import next_number
from scoring.control.domain.case_filter import CaseFilter
from scoring.control.domain.cases import Case, CaseOrder, CaseState, Shared
from scoring.errors import NotFound

_C = CASES.c
# Of values that are given apart, a statement is made once; many cases are saved.
_SAVE = update(CASES).where(_C.number == bindparam("of_it"))
_KEYS_MAX = 300  # of one statement: SQLite bounds the values that it is given
_SHARED = {
    each: _C["payment_id" if each is Shared.PAYMENT else each] for each in Shared
}


@dataclass(frozen=True, slots=True)
class CaseNote:
    """What somebody wrote beside a case."""

    note: int
    by: str
    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """How a queue is: `oldest_ms` is when its oldest case was decided; None: none."""

    open: int = 0
    assigned: int = 0
    overdue: int = 0
    oldest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class CasePlace:
    """Where a page ended: the key that its order is by, and the case's number."""

    key: int
    number: int


class Cases:
    """The cases, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # One of them ---------------------------------------------------------------

    def case(self, number: int) -> Case:
        """A case; raises `NotFound`."""
        found = select(CASES).where(_C.number == number)
        row = self._connection.execute(found).first()
        if row is None:
            raise NotFound(f"no case {number}", "number")
        return case_from(row)

    def decision(self, number: int) -> bytes:
        """What was decided, with its payment; empty where that is erased."""
        found = select(CASE_DECISIONS.c.decision).where(
            CASE_DECISIONS.c.case_number == number
        )
        return bytes(self._connection.execute(found).scalar_one_or_none() or b"")

    def by_keys(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Case]:
        """The cases that there are of (tenant, transaction id)."""
        found: dict[tuple[str, str], Case] = {}
        for start in range(0, len(keys), _KEYS_MAX):
            part = keys[start : start + _KEYS_MAX]
            of_them = tuple_(_C.tenant, _C.transaction_id).in_(part)
            for row in self._connection.execute(select(CASES).where(of_them)):
                case = case_from(row)
                found[case.decided.key] = case
        return found

    def provisional_keys(self) -> set[tuple[str, str]]:
        """Open cases whose decision was not the record when it was read."""
        found = select(_C.tenant, _C.transaction_id)
        waits = found.where(_C.provisional, ~_C.is_closed)
        return {
            (row.tenant, row.transaction_id) for row in self._connection.execute(waits)
        }

    def next_number(self) -> int:
        """The number of the next case."""
        return next_number(self._connection, _C.number)

    def add_all(self, cases: Sequence[tuple[Case, bytes]]) -> None:
        """Add cases with their decisions."""
        if not cases:
            return
        rows = [case_values(case) for case, _ in cases]
        self._connection.execute(insert(CASES), rows)
        kept = [{"case_number": c.number, "decision": raw} for c, raw in cases]
        self._connection.execute(insert(CASE_DECISIONS), kept)
        self._tag(case for case, _ in cases)

    def save(self, case: Case) -> None:
        """Keep what became of a case."""
        self._connection.execute(_SAVE, case_values(case) | {"of_it": case.number})

    def save_decided(self, before: Case, case: Case, decision: bytes) -> None:
        """The same, where another decision took the place of the one before."""
        self.save(case)
        of_it = CASE_DECISIONS.c.case_number == case.number
        self._connection.execute(
            update(CASE_DECISIONS).where(of_it).values(decision=decision)
        )
        tagged = delete(CASE_TAGS).where(
            CASE_TAGS.c.tag.in_(tags_of(before.decided)),
            CASE_TAGS.c.case_number == case.number,
        )
        self._connection.execute(tagged)
        self._tag([case])

    def _tag(self, cases: Iterable[Case]) -> None:
        tags = [
            {"tag": tag, "case_number": case.number}
            for case in cases
            for tag in tags_of(case.decided)
        ]
        if tags:
            self._connection.execute(insert(CASE_TAGS), tags)

    # Notes ---------------------------------------------------------------------

    def notes(self, number: int) -> list[CaseNote]:
        """What was written beside a case, the oldest first."""
        found = select(CASE_NOTES).where(CASE_NOTES.c.case_number == number)
        rows = self._connection.execute(found.order_by(CASE_NOTES.c.note))
        return [CaseNote(row.note, row.by, row.at_ms, row.text) for row in rows]

    def add_note(self, number: int, note: CaseNote) -> None:
        """Write beside a case."""
        values = {name: getattr(note, name) for name in note.__slots__}
        self._connection.execute(
            insert(CASE_NOTES).values(case_number=number, **values)
        )

    # The queue -----------------------------------------------------------------

    def page(
        self,
        wanted: CaseFilter,
        order: CaseOrder,
        *,
        at_ms: int,
        after: CasePlace | None,
        count_max: int,
    ) -> list[Case]:
        """Cases in an order, after a place."""
        found = ordered(select(CASES).where(*where(wanted, at_ms)), order, after)
        rows = self._connection.execute(found.limit(count_max))
        return [case_from(row) for row in rows]

    def selected(
        self, wanted: CaseFilter, *, at_ms: int, free_for: str | None, count_max: int
    ) -> list[tuple[int, int]]:
        """(number, revision) of those that are not closed, by number.

        Of those that nobody but `free_for` has; None: whoever has them.
        """
        conditions = [*where(wanted, at_ms), ~_C.is_closed]
        if free_for is not None:
            free = or_(_C.lease_until_ms <= at_ms, _C.assignee == free_for)
            conditions.append(free)
        found = select(_C.number, _C.revision).where(*conditions)
        rows = self._connection.execute(found.order_by(_C.number).limit(count_max))
        return [(row.number, row.revision) for row in rows]

    def others(
        self, case: Case, what: Shared, *, count_max: int
    ) -> tuple[int, list[Case]]:
        """How many other cases share something with one, and the newest of them."""
        token = case.decided.shared(what)
        if not token:
            return 0, []
        same = [
            _SHARED[what] == token,
            _C.tenant == case.decided.tenant,
            _C.number != case.number,
        ]
        counted = select(func.count()).select_from(CASES).where(*same)
        newest = select(CASES).where(*same).order_by(_C.number.desc()).limit(count_max)
        count = int(self._connection.execute(counted).scalar_one())
        return count, [case_from(row) for row in self._connection.execute(newest)]

    def of_token(
        self, what: Shared, token: str, *, tenant: str, count_max: int
    ) -> list[Case]:
        """The newest cases of a token."""
        found = select(CASES).where(_SHARED[what] == token)
        if tenant:
            found = found.where(_C.tenant == tenant)
        newest = found.order_by(_C.number.desc()).limit(count_max)
        return [case_from(row) for row in self._connection.execute(newest)]

    def figures(self, *, at_ms: int) -> QueueFigures:
        """How the queue is."""
        waits = ~_C.is_closed
        held = func.count().filter(_C.lease_until_ms > at_ms)
        late = func.count().filter(_C.due_at_ms < at_ms)
        row = self._connection.execute(
            select(func.count(), held, late, func.min(_C.decided_at_ms)).where(waits)
        ).one()
        return QueueFigures(row[0] - row[1], row[1], row[2], row[3])

    # Retention -----------------------------------------------------------------

    def to_be_erased(self, *, closed_before_ms: int, count_max: int) -> list[Case]:
        """Cases that were closed before a time and still hold what is personal."""
        old = (_C.is_closed, ~_C.erased, _C.closed_at_ms < closed_before_ms)
        found = select(CASES).where(*old).order_by(_C.closed_at_ms).limit(count_max)
        return [case_from(row) for row in self._connection.execute(found)]

    def erase(self, case: Case) -> None:
        """Keep what is left of a case, and neither its payment nor its notes."""
        self.save(case)
        for table in (CASE_DECISIONS, CASE_NOTES):
            of_it = delete(table).where(table.c.case_number == case.number)
            self._connection.execute(of_it)


def where(wanted: CaseFilter, at_ms: int) -> list[ColumnElement[bool]]:
    """What holds of the cases that a filter means."""
    conditions = [_state(wanted.state, at_ms)]
    equal: dict[str, str] = {
        name: value
        for name in ("tenant", "transaction_id", "assignee", "outcome", "merchant")
        if (value := getattr(wanted, name))
    }
    conditions += [_C[name] == value for name, value in equal.items()]
    for kind in ("rule", "reason"):
        if name := getattr(wanted, kind):
            tagged = select(CASE_TAGS.c.case_number)
            named = tagged.where(CASE_TAGS.c.tag == f"{kind}:{name}")
            conditions.append(_C.number.in_(named))
    conditions += _spans(wanted)
    if wanted.is_overdue:
        conditions += (_C.due_at_ms < at_ms, ~_C.is_closed)
    elif wanted.is_overdue is not None and wanted.state is not CaseState.CLOSED:
        conditions.append(_C.due_at_ms >= at_ms)
    return conditions


def _state(state: CaseState | None, at_ms: int) -> ColumnElement[bool]:
    if state is CaseState.CLOSED:
        return _C.is_closed
    if state is CaseState.OPEN:
        return and_(~_C.is_closed, _C.lease_until_ms <= at_ms)
    if state is CaseState.ASSIGNED:
        return and_(~_C.is_closed, _C.lease_until_ms > at_ms)
    return ~_C.is_closed


def _spans(wanted: CaseFilter) -> list[ColumnElement[bool]]:
    spans: tuple[tuple[Any, int | None, int | None], ...] = (
        (_C.rank_minor, wanted.worth_from, wanted.worth_below),
        (_C.decided_at_ms, wanted.decided_from_ms, wanted.decided_before_ms),
    )
    conditions: list[ColumnElement[bool]] = []
    for column, low, below in spans:
        if low is not None:
            conditions.append(column >= low)
        if below is not None:
            conditions.append(column < below)
    if wanted.worth_below is not None and wanted.worth_from is None:
        conditions.append(_C.rank_minor >= 0)
    return conditions


def sort_key(order: CaseOrder) -> ColumnElement[int]:
    """What an order is by, before the number."""
    return _C.rank_minor if order is CaseOrder.LARGEST else _C.decided_at_ms


def ordered(
    found: Select[Any], order: CaseOrder, after: CasePlace | None
) -> Select[Any]:
    """A statement of cases in an order, behind a place."""
    key, falls = sort_key(order), order is not CaseOrder.OLDEST
    number_falls = order is CaseOrder.NEWEST
    if after is not None:
        at, n = after.key, after.number
        # The first part says where in the index to begin.
        beyond = key < at if falls else key > at
        behind = _C.number < n if number_falls else _C.number > n
        found = found.where(key <= at if falls else key >= at, or_(beyond, behind))
    number = _C.number.desc() if number_falls else _C.number
    return found.order_by(key.desc() if falls else key, number)


def place_after(case: Case, order: CaseOrder) -> CasePlace:
    """Where a page ends with a case."""
    if order is CaseOrder.LARGEST:
        return CasePlace(case_values(case)["rank_minor"], case.number)
    return CasePlace(case.decided.decided_at_ms, case.number)
