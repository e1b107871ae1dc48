"""Decision: what was decided of one payment, why, by which versions, and what since."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from scoring.client.control_plane import Refused
from scoring.console.charts import two_sided
from scoring.console.decisions import (
    conditions_in,
    features_of,
    fields_of,
    rules_seen,
    values_of,
)
from scoring.console.visit import PageRoute, Visit, reads
from scoring.console.words import word_in
from scoring.errors import ScoringError
from scoring.v1 import decision_pb2 as decisions
from scoring.v1 import transaction_pb2 as transactions
from scoring.v1.decision_pb2 import Decision
from scoring.v1.fraud_scoring_pb2 import GetDecisionResponse

_US_PER_MS = 1_000
_BARS_MAX = 15


def decision(visit: Visit) -> Response:
    """The page of a decision."""
    tenant, transaction_id = visit.path["tenant"], visit.path["id"]
    life = visit.desk.payments.decision_of(tenant, transaction_id)
    found = life.decision
    # What the service keeps is the decision; the topic has the payment beside it.
    fell = visit.desk.live.named(tenant, transaction_id)
    payment = fell.transaction if fell is not None else None
    names = visit.desk.names.names_of(found)
    features = features_of(found, names)
    version = found.core.versions.policy
    conditions = conditions_in(_text(visit, version))
    values = values_of(features, payment)
    shadows = fell.shadows if fell is not None else ()
    return visit.page(
        "decision.html",
        title=transaction_id,
        tenant=tenant,
        core=found.core,
        trace=found.trace,
        words=_words(found),
        reasons=[_reason(each) for each in found.core.reasons],
        rules=rules_seen(found.core.rule_hits, conditions, values),
        shadows=[_shadow(visit, each, values) for each in shadows],
        lacked=[
            (word_in(decisions.DegradationCode, each.code), each.detail)
            for each in found.core.degradations
        ],
        features=features,
        named=names is not None,
        payment=None if payment is None else list(fields_of(payment)),
        timeline=_timeline(life),
        stages=_stages(found),
        explained=f"/explanation/{quote(tenant, safe='')}/{quote(transaction_id)}",
    )


def explanation(visit: Visit) -> Response:
    """What each feature added to the score: a part of a page, for it takes longer."""
    tenant, transaction_id = visit.path["tenant"], visit.path["id"]
    try:
        found = visit.desk.payments.explanation_of(tenant, transaction_id)
    except ScoringError as error:
        return visit.page("explanation.html", problem=str(error))
    every = found.contributions
    rest = sum(each.contribution for each in every[_BARS_MAX:])
    shown = [(each.feature, each.contribution) for each in every[:_BARS_MAX]]
    if len(every) > _BARS_MAX:
        shown.append((f"{len(every) - _BARS_MAX} others", rest))
    return visit.page(
        "explanation.html",
        problem="",
        bars=two_sided(shown),
        values={each.feature: each.value for each in every},
        codes={each.feature: each.reason_code for each in every},
        base=found.base,
        margin=found.core.margin,
    )


def _text(visit: Visit, version: str) -> str:
    """The policy's text; "" where it was never the control plane's."""
    try:
        items = visit.api.get("versions", version).json["items"] if version else []
    except Refused:
        return ""
    return str(items[0]["text"]) if items else ""


def _words(found: Decision) -> dict[str, str]:
    core, trace = found.core, found.trace
    return {
        "outcome": word_in(decisions.Outcome, core.outcome),
        "rung": word_in(decisions.Rung, core.rung),
        "second_look": word_in(decisions.SecondLook, core.second_look),
        "arm": word_in(decisions.Arm, core.arm),
        "door": word_in(decisions.Door, trace.door),
    }


def _reason(reason: decisions.Reason) -> dict[str, Any]:
    seen = reason.velocity if reason.HasField("velocity") else None
    clears = None
    if seen is not None and seen.HasField("clears_at"):
        clears = seen.clears_at.ToMilliseconds()
    return {
        "code": reason.code,
        "wording": reason.wording,
        "source": word_in(decisions.ReasonSource, reason.source),
        "contribution": reason.contribution,
        "seen": seen,
        "clears_ms": clears,
    }


def _shadow(
    visit: Visit, shadow: decisions.ShadowOutcome, values: dict[str, str]
) -> dict[str, Any]:
    conditions = conditions_in(_text(visit, shadow.policy))
    return {
        "policy": shadow.policy,
        "outcome": word_in(decisions.Outcome, shadow.outcome),
        "rules": rules_seen(shadow.rule_hits, conditions, values),
    }


def _timeline(life: GetDecisionResponse) -> list[tuple[int, str, str]]:
    """What happened, the earliest first: when, what, and more of it."""
    core, trace = life.decision.core, life.decision.trace
    outcome = word_in(decisions.Outcome, core.outcome)
    attempt = f"attempt {trace.attempt}" if trace.attempt else "the first attempt"
    decided = (trace.decided_at.ToMilliseconds(), f"decided: {outcome}", attempt)
    moments = [decided, *map(_event, life.events), *map(_label, life.labels)]
    return sorted(moments, key=lambda moment: moment[0])


def _event(event: transactions.LifecycleEvent) -> tuple[int, str, str]:
    code = f", issuer's code {event.issuer_code}" if event.issuer_code else ""
    kind = word_in(transactions.LifecycleKind, event.kind)
    return event.occurred_at.ToMilliseconds(), kind, f"event {event.event_id}{code}"


def _label(label: transactions.Label) -> tuple[int, str, str]:
    verdict = word_in(transactions.Verdict, label.verdict)
    source = word_in(transactions.LabelSource, label.source)
    more = f"version {label.version}, by {source}"
    return label.known_at.ToMilliseconds(), f"label: {verdict}", more


def _stages(found: Decision) -> list[dict[str, Any]]:
    """Each stage's time, and where it lies in the whole, of 100."""
    stages = found.trace.stages
    whole = sum(stage.duration_us for stage in stages) or 1
    shown, before = [], 0
    for stage in stages:
        shown.append(
            {
                "name": word_in_stage(stage.stage),
                "ms": stage.duration_us / _US_PER_MS,
                "x": 100 * before / whole,
                "width": 100 * stage.duration_us / whole,
            }
        )
        before += stage.duration_us
    return shown


def word_in_stage(name: str) -> str:
    """A stage's name as people read it.

    >>> word_in_stage("second_look")
    'second look'
    """
    return name.replace("_", " ")


ROUTES: tuple[PageRoute, ...] = (
    reads("/d/{tenant}/{id:path}", decision),
    reads("/explanation/{tenant}/{id:path}", explanation),
)
