"""Policy: versions and their texts, what waits for approval, and what ran when."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from scoring.client.control_plane import Refused
from scoring.console.policy_rules import MODES, figured, rules_of
from scoring.console.visit import PageRoute, Visit, reads

NOT_FOUND = 404
ACTS = ("release", "candidate", "shadow")
# Of a version in one of these states another act may be proposed, or it may be ended.
PROPOSABLE = frozenset({"draft", "proposed", "approved", "live", "shadow"})
_ENDED = frozenset({"rejected", "retired"})


def in_force(visit: Visit) -> tuple[dict[str, Any] | None, str]:
    """The release in force and its entity tag; None where there is none yet."""
    try:
        reply = visit.api.get("releases", "current")
    except Refused as error:
        if error.status != NOT_FOUND:
            raise
        return None, ""
    found: dict[str, Any] = reply.json
    return found, reply.etag


def policies(visit: Visit) -> Response:
    """Every version, the newest first, and what waits."""
    cursor = visit.query.get("cursor", "")
    page = visit.api.get("policies", cursor=cursor).json
    waiting = [
        each
        for stage in ("open", "approved")
        for each in visit.api.get("proposals", stage=stage).json["items"]
    ]
    return visit.page(
        "policies.html",
        title="Policy",
        release=in_force(visit)[0],
        waiting=waiting,
        items=page["items"],
        more=page["next"],
    )


def policy(visit: Visit) -> Response:
    """A version: its text, its life, and what can be done with it."""
    number = visit.path["number"]
    found = visit.api.get("policies", number).json
    proposals = visit.api.get("proposals", policy=number).json["items"]
    release, tag = in_force(visit)
    backtests = visit.api.get("backtests", version=found["version"]).json["items"]
    judged, figures = figured(visit, backtests)
    gates = {
        each["number"]: visit.api.get("proposals", each["number"], "gate").json[
            "because"
        ]
        for each in proposals
        if each["stage"] == "open"
    }
    return visit.page(
        "policy.html",
        title=f"Policy {number}",
        policy=found,
        proposals=proposals,
        gates=gates,
        backtests=backtests,
        rules=rules_of(found["text"]),
        judged=judged,
        figures=figures,
        modes=MODES,
        share=_share_of(release, found["number"]),
        tripped=_tripped(visit),
        release=release,
        tag=tag,
        acts=ACTS,
        proposable=found["state"] in PROPOSABLE,
        ended=found["state"] in _ENDED,
        is_in_force=release is not None and release["policy"] == found["number"],
    )


def _share_of(release: dict[str, Any] | None, number: int) -> float | None:
    """The share of payments that a version decides as the candidate."""
    candidate = (release or {}).get("candidate")
    if candidate is None or candidate["policy"] != number:
        return None
    return float(candidate["share"])


def _tripped(visit: Visit) -> list[str]:
    """The rules that the breaker holds back in some process."""
    replicas = visit.api.get("replicas").json["items"]
    return sorted({trip["rule"] for each in replicas for trip in each["tripped"]})


def diff(visit: Visit) -> Response:
    """What is different from another version."""
    number = visit.path["number"]
    found = visit.api.get(
        "policies", number, "diff", against=visit.query.get("against", "")
    ).json
    return visit.page(
        "policy_diff.html",
        title=f"Policy {number} against {found['against']}",
        found=found,
    )


def version(visit: Visit) -> Response:
    """The text of a hash: what a decision names."""
    wanted = visit.path["version"]
    items = visit.api.get("versions", wanted).json["items"]
    return visit.page(
        "policy_version.html", title=f"Policy {wanted}", wanted=wanted, items=items
    )


def history(visit: Visit) -> Response:
    """Every release, the newest first, and the ways back."""
    page = visit.api.get("releases", cursor=visit.query.get("cursor", "")).json
    _, tag = in_force(visit)
    return visit.page(
        "policy_history.html",
        title="Releases",
        items=page["items"],
        more=page["next"],
        tag=tag,
        tripped=_tripped(visit),
    )


ROUTES: tuple[PageRoute, ...] = (
    reads("/policy", policies),
    reads("/policy/history", history),
    reads("/policy/version/{version}", version),
    reads("/policy/{number:number}", policy),
    reads("/policy/{number:number}/diff", diff),
)
