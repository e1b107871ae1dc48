"""Cases: what a person looks at, who has it, until when, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from scoring.control.domain.managed_lists import checked_text
from scoring.control.domain.people import Doing, Person, PersonRole
from scoring.core.transaction.label import Verdict
from scoring.errors import ChangedMeanwhile, InvalidTransaction, NotPossible

NOTE_CHARACTERS_MAX = 4_000
NOTES_MAX = 200  # of one case
LISTINGS_MAX = 10  # of one closing
_MS_PER_H = 3_600_000
_MS_PER_MIN = 60_000
_MS_PER_S = 1_000


class CaseState(StrEnum):
    """How a case is at an instant."""

    OPEN = "open"  # nobody has it, or their lease is over
    ASSIGNED = "assigned"
    CLOSED = "closed"


class CaseVerdict(StrEnum):
    """What a reviewer found."""

    FRAUD = "fraud"
    LEGITIMATE = "legitimate"
    INCONCLUSIVE = "inconclusive"  # nothing is known: no label says so

    def label(self, labelled: int) -> Verdict | None:
        """What a label says of it, after so many; None where there is none to say.

        >>> CaseVerdict.FRAUD.label(0)
        <Verdict.FRAUD: 1>
        >>> CaseVerdict.INCONCLUSIVE.label(0), CaseVerdict.INCONCLUSIVE.label(1)
        (None, <Verdict.WITHDRAWN: 3>)
        """
        if self is not CaseVerdict.INCONCLUSIVE:
            return Verdict[self.name]
        return Verdict.WITHDRAWN if labelled else None


class CaseOrder(StrEnum):
    """In which order cases are listed."""

    OLDEST = "oldest"  # by when they were decided
    NEWEST = "newest"
    LARGEST = "largest"  # in the reference currency; unknown amounts come last


class Shared(StrEnum):
    """What cases can have in common: a token of their payments, or the payment."""

    CARD = "card"
    CUSTOMER = "customer"
    DEVICE = "device"
    PAYMENT = "payment"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRules:
    """How long things take here.

    A lease ends after `lease_min`; a case is due `due_h` after its decision. What is
    personal in a closed case is erased after `kept_days`.
    """

    lease_min: float = 30.0
    due_h: float = 24.0
    kept_days: float = 180.0

    @property
    def lease_ms(self) -> int:
        """How long a case is somebody's."""
        return round(self.lease_min * _MS_PER_MIN)

    @property
    def due_ms(self) -> int:
        """How long after its decision a case should be closed."""
        return round(self.due_h * _MS_PER_H)

    @property
    def kept_ms(self) -> int:
        """How long after its end a case's payment is kept."""
        return round(self.kept_days * 24 * _MS_PER_H)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedPayment:
    """What a decision says of its payment, as far as a case is found by it.

    `worth_minor` is the amount in the reference currency; None where it is unknown.
    `score` is None where no model ran. `rules` held and were enforced.
    """

    tenant: str
    transaction_id: str
    payment_id: str = ""
    attempt: int = 0
    outcome: str
    score: float | None = None
    provisional: bool = False
    decided_at_ms: int
    occurred_at_ms: int
    amount_minor: int | None = None
    currency: str = ""
    worth_minor: int | None = None
    card: str = ""
    customer: str = ""
    device: str = ""
    merchant: str = ""
    policy: str = ""
    rules: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What it is one decision of."""
        return self.tenant, self.transaction_id

    def shared(self, what: Shared) -> str:
        """What other cases may have too; "" where it is not known."""
        value: str = getattr(self, "payment_id" if what is Shared.PAYMENT else what)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingWish:
    """A token of the payment to be put on a list, whose field says which one.

    `expires` is an instant of event time, "" for never.
    """

    list: str
    expires: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingWish:
    """How somebody wants a case to end.

    `label_version` is that of its label, above all that were reported elsewhere; 0
    where nobody else reports labels: the next of this case.
    """

    verdict: CaseVerdict
    listings: tuple[ListingWish, ...] = ()
    why: str = ""
    label_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseListed:
    """A token that a closing put on a list, and the list's revision after it."""

    list: str
    token: str
    until_ms: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How a case ended; `label_version` is 0 where no label says so."""

    wish: ClosingWish
    by: str
    at_ms: int
    label_version: int = 0
    listed: tuple[CaseListed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One decided payment that a person looks at; immutable.

    `revision` rises with whatever another person must know of: who has it, what was
    decided, how it ended. `labelled` is the version of the last label that a closing
    wrote, 0 where none did.
    """

    number: int
    decided: DecidedPayment
    opened_at_ms: int
    due_at_ms: int
    revision: int = 1
    assignee: str = ""
    lease_until_ms: int = 0
    closing: Closing | None = None
    labelled: int = 0
    erased: bool = False

    # Reading -------------------------------------------------------------------

    def holder(self, at_ms: int) -> str:
        """Who has it; "" for nobody."""
        if self.closing is not None or self.lease_until_ms <= at_ms:
            return ""
        return self.assignee

    def state(self, at_ms: int) -> CaseState:
        """How it is."""
        if self.closing is not None:
            return CaseState.CLOSED
        return CaseState.ASSIGNED if self.holder(at_ms) else CaseState.OPEN

    def is_overdue(self, at_ms: int) -> bool:
        """Whether it should have been closed by now."""
        return self.closing is None and self.due_at_ms < at_ms

    # What people do ------------------------------------------------------------

    def assigned(self, to: str, doing: Doing, lease_ms: int) -> Case:
        """The case as somebody's, for as long as a lease lasts; again: from now on.

        Raises `NotPossible` where it is closed, or somebody else has it.
        """
        self._must_be_open()
        self._must_be_free_for(doing)
        until_ms = doing.at_ms + lease_ms
        if to == self.holder(doing.at_ms):
            return replace(self, lease_until_ms=until_ms)
        return self._changed(assignee=to, lease_until_ms=until_ms)

    def released(self, doing: Doing) -> Case:
        """The case as nobody's; itself where it is.

        Raises `NotPossible` where it is closed, or somebody else has it.
        """
        self._must_be_open()
        self._must_be_free_for(doing)
        if not self.holder(doing.at_ms):
            return self
        return self._changed(assignee="", lease_until_ms=0)

    def is_repeated(self, wish: ClosingWish, person: Person) -> bool:
        """Whether it was closed by the same person with the same words."""
        closing = self.closing
        return closing is not None and (closing.by, closing.wish) == (person.name, wish)

    def to_be_closed(self, doing: Doing) -> Case:
        """Itself; raises `NotPossible` where it is closed, or somebody else has it."""
        self._must_be_open()
        holder = self.holder(doing.at_ms)
        if holder not in {"", doing.person.name}:
            raise self._held(holder)
        return self

    def next_label(self, wish: ClosingWish) -> int:
        """The version of the label that a closing writes.

        Raises `InvalidTransaction` for one that would not count.
        """
        version = wish.label_version or self.labelled + 1
        if version <= self.labelled:
            raise InvalidTransaction(
                "label_version", f"must be above {self.labelled}, which was said"
            )
        return version

    def closed(self, closing: Closing) -> Case:
        """The case as it ended."""
        labelled = max(self.labelled, closing.label_version)
        return self._changed(closing=closing, labelled=labelled)

    def reopened(self) -> Case:
        """The case as nobody's and open; raises `NotPossible` unless it is closed."""
        if self.closing is None:
            raise NotPossible(f"case {self.number} is not closed")
        if self.erased:
            raise NotPossible(
                f"case {self.number} was closed so long ago that its payment is erased "
                "here; report a label of its transaction instead"
            )
        return self._changed(closing=None, assignee="", lease_until_ms=0)

    def without_finding(self, doing: Doing) -> Case:
        """The case ended without a finding or a label; itself where it is closed."""
        if self.closing is not None:
            return self
        wish = ClosingWish(verdict=CaseVerdict.INCONCLUSIVE, why=doing.why)
        return self.closed(Closing(wish=wish, by=doing.person.name, at_ms=doing.at_ms))

    def forgotten(self) -> Case:
        """The case without what is personal: that it was, what of, and how it ended."""
        assert self.closing is not None
        bare = replace(self.decided, card="", customer="", device="")
        listed = tuple(replace(each, token="") for each in self.closing.listed)
        closing = replace(self.closing, listed=listed)
        return replace(self, decided=bare, closing=closing, erased=True)

    # What the service says again -----------------------------------------------

    def decided_again(self, decided: DecidedPayment) -> Case:
        """The case after another decision of its transaction; itself in most cases.

        A final decision takes the place of a provisional one while the case is open.
        Nothing else does: one transaction has one decision, and how a case ended was
        said of the one that was looked at.
        """
        replaces = self.decided.provisional and not decided.provisional
        if self.closing is not None or not replaces:
            return self
        return self._changed(decided=decided)

    # ---------------------------------------------------------------------------

    def _changed(self, **changes: object) -> Case:
        return replace(self, revision=self.revision + 1, **changes)  # type: ignore[arg-type]

    def _must_be_open(self) -> None:
        if self.closing is not None:
            raise NotPossible(
                f"case {self.number} is closed: {self.closing.wish.verdict}, by "
                f"{self.closing.by}; reopen it to say something else"
            )

    def _must_be_free_for(self, doing: Doing) -> None:
        holder = self.holder(doing.at_ms)
        if holder in {"", doing.person.name} or PersonRole.ADMIN in doing.person.roles:
            return
        raise self._held(holder)

    def _held(self, holder: str) -> NotPossible:
        until = datetime.fromtimestamp(self.lease_until_ms / _MS_PER_S, UTC)
        return NotPossible(
            f"case {self.number} is with {holder} until {until:%Y-%m-%d %H:%M:%S} UTC; "
            "have them release it, or wait until then"
        )


def opened(number: int, decided: DecidedPayment, *, at_ms: int, due_ms: int) -> Case:
    """A new case of a decision; its clock runs from the decision on."""
    return Case(
        number=number,
        decided=decided,
        opened_at_ms=at_ms,
        due_at_ms=decided.decided_at_ms + due_ms,
    )


def unchanged_since(case: Case, revision: int | None) -> None:
    """Raise `ChangedMeanwhile` where a case is not as of the revision that was read.

    None asks for no check.
    """
    if revision is not None and revision != case.revision:
        told = "closed" if case.closing else f"with {case.assignee or 'nobody'}"
        raise ChangedMeanwhile(
            f"case {case.number} is at revision {case.revision}, not {revision}; read "
            "it again",
            (f"it is {told}, decided {case.decided.outcome}",),
        )


def checked_note(text: str) -> str:
    """A note as it is kept, of one or several lines; raises `InvalidTransaction`.

    >>> checked_note(" called her\\n she knows it ")
    'called her\\n she knows it'
    """
    written = text.strip()
    if not written:
        raise InvalidTransaction("text", "is required")
    if len(written) > NOTE_CHARACTERS_MAX:
        raise InvalidTransaction("text", f"at most {NOTE_CHARACTERS_MAX} characters")
    for line in written.splitlines():
        checked_text("text", line, NOTE_CHARACTERS_MAX)
    return written
