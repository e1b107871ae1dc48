"""What happened to a payment, in its order: from its attempts to its case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from scoring.console.payments.payment_life import PaymentLife
from scoring.console.words import word_in
from scoring.core.transaction.transaction import DEFAULT_TENANT
from scoring.v1 import decision_pb2 as decisions
from scoring.v1 import transaction_pb2 as transactions


@dataclass(frozen=True, slots=True)
class Moment:
    """When something happened, what, and more of it; `path` leads to the whole."""

    at_ms: int
    what: str
    more: str
    path: str = ""


def timeline_of(known: PaymentLife) -> list[Moment]:
    """Everything that is known to have happened, the earliest first."""
    moments = [
        *(_attempt(known, each) for each in known.attempts),
        _decided(known.life.decision),
        *map(_event, known.life.events),
        *map(_label, known.life.labels),
        *(moment for case in known.cases for moment in _of_case(case)),
    ]
    return sorted(moments, key=lambda moment: moment.at_ms)


def _decided(decision: decisions.Decision) -> Moment:
    trace = decision.trace
    outcome = word_in(decisions.Outcome, decision.core.outcome)
    attempt = f"attempt {trace.attempt}" if trace.attempt else "the first attempt"
    return Moment(trace.decided_at.ToMilliseconds(), f"decided: {outcome}", attempt)


def _event(event: transactions.LifecycleEvent) -> Moment:
    code = f", issuer's code {event.issuer_code}" if event.issuer_code else ""
    kind = word_in(transactions.LifecycleKind, event.kind)
    more = f"event {event.event_id}{code}"
    return Moment(event.occurred_at.ToMilliseconds(), kind, more)


def _label(label: transactions.Label) -> Moment:
    verdict = word_in(transactions.Verdict, label.verdict)
    source = word_in(transactions.LabelSource, label.source)
    more = f"version {label.version}, by {source}"
    return Moment(label.known_at.ToMilliseconds(), f"label: {verdict}", more)


def _attempt(known: PaymentLife, other: Mapping[str, Any]) -> Moment:
    id_, tenant = other["transaction_id"], known.life.decision.core.tenant
    path = f"/d/{quote(tenant or DEFAULT_TENANT, safe='')}/{quote(id_)}"
    more = f"another attempt of this payment: {other['outcome']}"
    return Moment(other["occurred_at_ms"], id_, more, path)


def _of_case(told: Mapping[str, Any]) -> Iterator[Moment]:
    case = told["case"]
    path = f"/cases/{case['number']}"
    named = f"case {case['number']}"
    yield Moment(case["opened_at_ms"], f"{named} opened", "", path)
    for note in told["notes"]:
        more = f"{note['by']}: {note['text']}"
        yield Moment(note["at_ms"], f"note in {named}", more, path)
    closing = case["closing"]
    if closing:
        why = f": {closing['why']}" if closing["why"] else ""
        more = f"{closing['verdict']}, by {closing['by']}{why}"
        yield Moment(closing["at_ms"], f"{named} closed", more, path)
