"""Decision: what was decided of one payment, why, by which versions, and what since."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from scoring.client.control_plane import Refused
from scoring.console.charts import two_sided
from scoring.console.lists.list_ends import ends_from
from scoring.console.payments.decisions import (
    features_of,
    fields_of,
    rules_seen,
    values_of,
    words_of,
)
from scoring.console.payments.payment_life import PaymentLife, life_of
from scoring.console.payments.timeline import timeline_of
from scoring.console.payments.what_if_pages import editable_of
from scoring.console.visit import PageRight, PageRoute, Visit, reads
from scoring.console.words import word_in
from scoring.core.transaction.transaction import DEFAULT_TENANT
from scoring.errors import InvalidTransaction, ScoringError
from scoring.v1 import decision_pb2 as decisions
from scoring.v1 import transaction_pb2 as transactions
from scoring.v1.decision_pb2 import Decision

_US_PER_MS = 1_000
_BARS_MAX = 15


def decision(visit: Visit) -> Response:
    """The page of a decision."""
    tenant, transaction_id = visit.path["tenant"], visit.path["id"]
    known = life_of(visit, tenant, transaction_id)
    found = known.life.decision
    names = visit.desk.names.names_of(found)
    features = features_of(found, names)
    policy = words_of(_text(visit, found.core.versions.policy))
    values = {**values_of(features, known.payment), **policy.limits}
    place = f"{quote(tenant, safe='')}/{quote(transaction_id)}"
    return visit.page(
        "decision.html",
        title=transaction_id,
        tenant=tenant,
        core=found.core,
        trace=found.trace,
        words=_words(found),
        reasons=[_reason(each) for each in found.core.reasons],
        rules=rules_seen(found.core.rule_hits, policy.conditions, values),
        shadows=_shadows(visit, known, values),
        lacked=[
            (word_in(decisions.DegradationCode, each.code), each.detail)
            for each in found.core.degradations
        ],
        features=features,
        named=names is not None,
        payment=None if known.payment is None else list(fields_of(known.payment)),
        lacks=known.lacks,
        timeline=timeline_of(known),
        stages=_stages(found),
        explained=f"/explanation/{place}",
        linked=f"/links/{place}?near={known.near_ms}",
        what_if=f"/what-if/{place}",
        editable=editable_of(known.payment),
        lists=_lists_for(visit, known.payment),
        ends=ends_from(visit.desk.now_ms()),
    )


def _lists_for(
    visit: Visit, payment: transactions.Transaction | None
) -> list[dict[str, Any]]:
    """Lists of a field that the payment says, each with its token; for who may."""
    if payment is None or not visit.may(PageRight.CHANGE_LISTS):
        return []
    said = dict(fields_of(payment))
    found = visit.api.get("lists").json["items"]
    fitting = [each for each in found if said.get(each["field"])]
    fitting.sort(key=lambda each: each["kind"] != "block")
    return [{**each, "token": said[each["field"]]} for each in fitting]


def find(visit: Visit) -> Response:
    """The page of an id that somebody was told; a tenant may stand beside it."""
    transaction_id = visit.query.get("id", "").strip()
    tenant = visit.query.get("tenant", "").strip() or DEFAULT_TENANT
    if not transaction_id:
        raise InvalidTransaction("id", "is empty; write the id of a payment")
    return visit.to(f"/d/{quote(tenant, safe='')}/{quote(transaction_id, safe='')}")


def explanation(visit: Visit) -> Response:
    """What each feature added to the score: a part of a page, for it takes longer."""
    tenant, transaction_id = visit.path["tenant"], visit.path["id"]
    try:
        found = visit.desk.payments.explanation_of(tenant, transaction_id)
    except ScoringError as error:
        return visit.page("explanation.html", title=transaction_id, problem=str(error))
    every = found.contributions
    rest = sum(each.contribution for each in every[_BARS_MAX:])
    shown = [(each.feature, each.contribution) for each in every[:_BARS_MAX]]
    if len(every) > _BARS_MAX:
        shown.append((f"{len(every) - _BARS_MAX} others", rest))
    return visit.page(
        "explanation.html",
        title=f"What made the score of {transaction_id}",
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


def _shadows(
    visit: Visit, known: PaymentLife, values: dict[str, str]
) -> list[dict[str, Any]] | None:
    """What policies in shadow would have said; None where nobody knows it here."""
    if known.shadows is None:
        return None
    shown = []
    for shadow in known.shadows:
        policy = words_of(_text(visit, shadow.policy))
        named = {**values, **policy.limits}
        shown.append(
            {
                "policy": shadow.policy,
                "outcome": word_in(decisions.Outcome, shadow.outcome),
                "rules": rules_seen(shadow.rule_hits, policy.conditions, named),
            }
        )
    return shown


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
    reads("/find", find),
    reads("/d/{tenant}/{id:path}", decision),
    reads("/explanation/{tenant}/{id:path}", explanation),
)
