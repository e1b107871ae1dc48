"""What is done with policies: drafted, proposed, approved, released, taken back."""

from __future__ import annotations

from math import isfinite, nan
from typing import Any

from starlette.responses import Response

from scoring.client.control_plane import Reply
from scoring.console.edge import whole_number
from scoring.console.visit import PageRight, PageRoute, Visit, writes
from scoring.errors import InvalidTransaction


def propose(visit: Visit) -> Response:
    """Propose a version for an act."""
    number, act = visit.path["number"], visit.form.get("act", "release")
    share = _share(visit.form.get("share", "")) if act == "candidate" else None
    body = {"act": act, "share": share, "why": _why(visit)}
    return _done(visit, visit.api.post("policies", number, "proposals", body=body))


def approve(visit: Visit) -> Response:
    """Approve a proposal of the hash that the page has shown."""
    body = {
        "version": visit.form.get("version", ""),
        "why": _why(visit),
        "at_once": "at_once" in visit.form,
    }
    number = visit.path["proposal"]
    return _done(visit, visit.api.post("proposals", number, "approval", body=body))


def reject(visit: Visit) -> Response:
    """Reject a proposal, or withdraw one's own."""
    body, number = {"why": _why(visit)}, visit.path["proposal"]
    return _done(visit, visit.api.post("proposals", number, "rejection", body=body))


def release(visit: Visit) -> Response:
    """Do what was approved."""
    body = {
        "policy": int(visit.path["number"]),
        "act": visit.form.get("act", ""),
        "share": _number(visit.form["share"]) if visit.form.get("share") else None,
        "why": _why(visit),
    }
    return _done(visit, visit.api.post("releases", body=body, etag=_tag(visit)))


def move_share(visit: Visit) -> Response:
    """Give the candidate another share: less at once, more by a proposal."""
    number, wanted = visit.path["number"], _share(visit.form.get("share", ""))
    running = _number(visit.form.get("running", ""))
    body: dict[str, Any] = {"act": "candidate", "share": wanted, "why": _why(visit)}
    if wanted >= running:
        said = visit.api.post("policies", number, "proposals", body=body)
        return _done(visit, said)
    less = body | {"policy": int(number)}
    return _done(visit, visit.api.post("releases", body=less, etag=_tag(visit)))


def retire(visit: Visit) -> Response:
    """Stop a candidate or a shadow, or end a version that does not run."""
    body, number = {"why": _why(visit)}, visit.path["number"]
    said = visit.api.post("policies", number, "retirement", body=body, etag=_tag(visit))
    return _done(visit, said)


def roll_back(visit: Visit) -> Response:
    """Back to the version before, or to an earlier one by a proposal."""
    wanted = visit.form.get("to", "").strip()
    to = whole_number("to", wanted) if wanted else None
    body = {"why": _why(visit), "to": to}
    said = visit.api.post("releases", "rollback", body=body, etag=_tag(visit))
    return _done(visit, said)


def rearm(visit: Visit) -> Response:
    """Let the breaker of a rule begin anew."""
    body = {"rule": visit.form.get("rule", ""), "why": _why(visit)}
    said = visit.api.post("releases", "rearmed", body=body, etag=_tag(visit))
    return _done(visit, said)


def _why(visit: Visit) -> str:
    return visit.form.get("why", "").strip()


def _tag(visit: Visit) -> str:
    """The release that the page has shown: another one in force is a refusal."""
    return visit.form.get("tag", "")


def _share(written: str) -> float:
    """A share of 1 from a percentage as people write it; raises `InvalidTransaction`.

    >>> _share("5"), _share("2.5 %")
    (0.05, 0.025)
    """
    return _number(written.rstrip(" %")) / 100


def _number(written: str) -> float:
    try:
        number = float(written)
    except ValueError:
        number = nan
    if not isfinite(number):
        told = "a candidate has one; write a percentage such as 5"
        raise InvalidTransaction("share", told)
    return number


def _done(visit: Visit, reply: Reply) -> Response:
    """To the version's page, which says what has become of it."""
    return visit.to(f"/policy/{reply.json['policy']['number']}", done_of(reply.json))


def done_of(done: dict[str, Any]) -> str:
    """What has become of a version, in a line.

    >>> done_of({"policy": {"number": 2, "state": "proposed"}, "notices": [],
    ...          "proposal": {"number": 1, "stage": "open"}, "release": None})
    'Version 2 is proposed; proposal 1 is open.'
    """
    policy, proposal = done["policy"], done["proposal"]
    said = f"Version {policy['number']} is {policy['state']}"
    if proposal is not None:
        said += f"; proposal {proposal['number']} is {proposal['stage']}"
    if done["release"] is not None:
        said += f"; release {done['release']} is on its way to every process"
    return ". ".join([said, *done["notices"]]).rstrip(".") + "."


_STOP = (PageRight.ROLL_BACK, PageRight.WRITE_POLICY)
_REFUSE = (PageRight.APPROVE, PageRight.WRITE_POLICY)
ROUTES: tuple[PageRoute, ...] = (
    writes("/policy/rollback", roll_back, PageRight.ROLL_BACK),
    writes("/policy/rearm", rearm, PageRight.ROLL_BACK),
    writes("/policy/{number:number}/propose", propose, PageRight.WRITE_POLICY),
    writes("/policy/{number:number}/release", release, PageRight.RELEASE),
    writes("/policy/{number:number}/share", move_share, *_STOP),
    writes("/policy/{number:number}/retire", retire, *_STOP),
    writes("/proposals/{proposal:number}/approve", approve, PageRight.APPROVE),
    writes("/proposals/{proposal:number}/reject", reject, *_REFUSE),
)
