"""Cases as the API answers them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field

from scoring import wire
from scoring.control.api.views import View
from scoring.control.database.case_labels import CaseLabel
from scoring.control.database.cases import CaseNote
from scoring.control.desks.case_desk import Selection
from scoring.control.domain.case_bulks import CaseBulk
from scoring.control.domain.cases import (
    Case,
    CaseListed,
    CaseState,
    CaseVerdict,
    Closing,
    Shared,
)
from scoring.core.release.list_release import FOREVER_MS
from scoring.core.transaction.label import Verdict
from scoring.errors import CorruptState

OutcomeName = Literal["approve", "challenge", "review", "decline"]


class ListedByCaseView(View):
    """A token that a closing put on a list; `until_ms` null for ever."""

    list: str
    token: str
    until_ms: int | None
    revision: int

    @classmethod
    def of(cls, listed: CaseListed) -> ListedByCaseView:
        """As the desk tells it."""
        until_ms = None if listed.until_ms == FOREVER_MS else listed.until_ms
        return cls(**asdict(listed) | {"until_ms": until_ms})


class ClosingView(View):
    """How a case ended; `label_version` is 0 where no label says so."""

    verdict: CaseVerdict
    why: str
    by: str
    at_ms: int
    label_version: int
    listed: list[ListedByCaseView]

    @classmethod
    def of(cls, closing: Closing) -> ClosingView:
        """As the desk tells it."""
        return cls(
            verdict=closing.wish.verdict,
            why=closing.wish.why,
            by=closing.by,
            at_ms=closing.at_ms,
            label_version=closing.label_version,
            listed=[ListedByCaseView.of(each) for each in closing.listed],
        )


class CaseView(View):
    """A case, as it is now; `worth_minor` is in the reference currency."""

    number: int
    state: CaseState
    is_overdue: bool
    tenant: str
    transaction_id: str
    payment_id: str
    attempt: int
    outcome: OutcomeName
    score: float | None
    provisional: bool
    rules: list[str]
    reasons: list[str]
    policy: str
    amount_minor: int | None
    currency: str
    worth_minor: int | None
    card: str
    customer: str
    device: str
    merchant: str
    occurred_at_ms: int
    decided_at_ms: int
    opened_at_ms: int
    due_at_ms: int
    assignee: str | None
    lease_until_ms: int | None
    closing: ClosingView | None
    erased: bool
    revision: int

    @classmethod
    def of(cls, case: Case, at_ms: int) -> CaseView:
        """As it is at an instant."""
        decided, holder = asdict(case.decided), case.holder(at_ms)
        told = {name: decided[name] for name in cls.model_fields if name in decided}
        own = ("number", "opened_at_ms", "due_at_ms", "erased", "revision")
        closing = case.closing
        return cls(
            **told | {name: list(told[name]) for name in ("rules", "reasons")},
            **{name: getattr(case, name) for name in own},
            state=case.state(at_ms),
            is_overdue=case.is_overdue(at_ms),
            assignee=holder or None,
            lease_until_ms=case.lease_until_ms if holder else None,
            closing=None if closing is None else ClosingView.of(closing),
        )


class NoteView(View):
    """What somebody wrote beside a case."""

    note: int
    by: str
    at_ms: int
    text: str

    @classmethod
    def of(cls, note: CaseNote) -> NoteView:
        """The same."""
        return cls(**asdict(note))


class LabelView(View):
    """A label that a closing wrote; `published_at_ms` null while it waits."""

    version: int
    verdict: Literal["fraud", "legitimate", "withdrawn"]
    known_at_ms: int
    published_at_ms: int | None

    @classmethod
    def of(cls, label: CaseLabel) -> LabelView:
        """The same, its verdict by name."""
        verdict = Verdict(label.verdict).name.lower()
        return cls(**asdict(label) | {"verdict": verdict})


class LinkView(View):
    """Other cases with the same token: how many, and the newest of them."""

    shared: Shared
    token: str
    count: int
    newest: list[CaseView]


class CaseDetailView(View):
    """A case with all that is kept of it.

    `decision` is the logged one as JSON, with its payment; null once it is erased.
    """

    case: CaseView
    decision: dict[str, Any] | None
    notes: list[NoteView]
    labels: list[LabelView]
    links: list[LinkView]


class FiguresView(View):
    """How the queue is; `oldest_ms` is when its oldest case was decided."""

    open: int
    assigned: int
    overdue: int
    oldest_ms: int | None


class LeftCaseView(View):
    """A case with which an act could not be done, and why."""

    number: int
    why: str


class BulkView(View):
    """An act on many: with how many, what names exactly them, and whether it is done.

    Send `selection` back to have it done; again where no answer came. Then it was done
    with `done_count`, and not with those of `left`, which others changed meanwhile or
    with which it is not possible.
    """

    count: int
    selection: str
    done: bool
    done_count: int = 0
    left: list[LeftCaseView] = Field(default_factory=list)

    @classmethod
    def of(cls, selection: Selection) -> BulkView:
        """The dry run."""
        return cls(count=selection.count, selection=selection.named, done=False)

    @classmethod
    def over(cls, bulk: CaseBulk) -> BulkView:
        """What was done."""
        return cls(
            count=bulk.count,
            selection=bulk.selection,
            done=True,
            done_count=bulk.done,
            left=[LeftCaseView(**asdict(each)) for each in bulk.left],
        )


class ForgottenView(View):
    """How many cases of a token were erased, and off which lists it came."""

    cases: int
    lists: list[str]


def decision_of(raw: bytes) -> dict[str, Any] | None:
    """A kept decision as JSON; None where there is none that JSON can say."""
    if not raw:
        return None
    try:
        told: dict[str, Any] = json.loads(wire.decision_to_json(raw))
    except CorruptState:
        return None
    return told
