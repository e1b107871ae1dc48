"""Cases: the queue of what waits for a person, and one case until it is closed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from scoring.console.edge import whole_number
from scoring.console.lists.list_ends import end_in, ends_from
from scoring.console.live import OUTCOMES
from scoring.console.visit import PageRight, PageRoute, Visit, reads, writes
from scoring.errors import InvalidTransaction

ORDERS = ("oldest", "largest", "newest")
STATES = ("open", "assigned", "closed")
VERDICTS = ("fraud", "legitimate", "inconclusive")
# What may be done with many, and what a person reads of it.
BULK_ACTS = (
    ("take", "take them"),
    ("release", "give them back"),
    *((verdict, f"close them as {verdict}") for verdict in VERDICTS),
)
_FILTERS = ("state", "outcome", "rule", "merchant", "assignee", "order")
# So far into the queue the next case is looked for.
_LOOKED_THROUGH_MAX = 1_000
_PAGE = 200
_LEFT_NAMED = 5  # of those that a bulk left: a notice is a line or two


def asked_in(said: Mapping[str, str]) -> dict[str, str]:
    """Which cases somebody works through, of a query or a form."""
    asked = {name: said[name] for name in _FILTERS if said.get(name)}
    if said.get("overdue"):
        asked["overdue"] = "true"
    return asked


def queue(visit: Visit) -> Response:
    """The queue, by what is asked for."""
    asked = asked_in(visit.query)
    page = visit.api.get("cases", **asked, cursor=visit.query.get("cursor", "")).json
    return visit.page(
        "cases.html",
        title="Cases",
        figures=visit.api.get("case-figures").json,
        items=page["items"],
        more=page["next"],
        asked=asked,
        along=_along(asked),
        acts=BULK_ACTS,
        orders=ORDERS,
        states=STATES,
        outcomes=OUTCOMES,
    )


def case(visit: Visit) -> Response:
    """A case with what helps to judge it."""
    number, asked = visit.path["number"], asked_in(visit.query)
    found = visit.api.get("cases", number).json
    lists = visit.api.get("lists").json["items"]
    shown = found["case"]
    fitting = [each for each in lists if shown.get(each["field"])]
    return visit.page(
        "case.html",
        title=f"Case {number}",
        case=shown,
        payment=_fields(found["decision"]),
        notes=found["notes"],
        labels=found["labels"],
        links=found["links"],
        verdicts=VERDICTS,
        lists=fitting,
        blocks=[each for each in fitting if each["kind"] == "block"],
        ends=ends_from(visit.desk.now_ms()),
        asked=asked,
        along=_along(asked),
    )


def following(visit: Visit) -> Response:
    """The next case that nobody has, by what is asked for; behind `after` if named."""
    asked = asked_in(visit.query)
    after = visit.query.get("after", "")
    number = _next(visit, asked, whole_number("after", after) if after else 0)
    if number is None:
        return visit.to(f"/cases{_along(asked)}", "No case is open.")
    return visit.to(f"/cases/{number}{_along(asked)}")


def _next(visit: Visit, asked: Mapping[str, str], after: int) -> int | None:
    """The first that is open; behind one that still is, or else the first of all."""
    first, seen = None, False
    wanted = {"state": "open", **asked}
    waiting = visit.api.items("cases", **wanted, limit=_PAGE)
    for each in islice(waiting, _LOOKED_THROUGH_MAX):
        number: int = each["number"]
        if seen:
            return number
        seen = number == after
        if not seen and first is None:
            first = number
    return first


def _along(asked: Mapping[str, str]) -> str:
    """What is asked for, as the end of a path.

    >>> _along({"merchant": "a b"}), _along({})
    ('?merchant=a+b', '')
    """
    return f"?{urlencode(asked)}" if asked else ""


def take(visit: Visit) -> Response:
    """Assign a case to oneself."""
    return _done(visit, "assignment", {}, "The case is yours.")


def give_back(visit: Visit) -> Response:
    """Give a case back to the queue."""
    return _done(visit, "release", {}, "The case is in the queue again.")


def note(visit: Visit) -> Response:
    """Write beside a case."""
    number = visit.path["number"]
    body = {"text": visit.form.get("text", "").strip()}
    visit.api.post("cases", number, "notes", body=body)
    return visit.to(f"/cases/{number}", "The note is kept.")


def close(visit: Visit) -> Response:
    """Close a case: its label is written, and its token listed where that is asked."""
    said = closing_in(visit.form)
    return _done(visit, "closing", said, f"Closed: {said['verdict']}.")


def triage(visit: Visit) -> Response:
    """Close a case, and on to the next of those that somebody works through."""
    number, said = visit.path["number"], closing_in(visit.form)
    visit.api.post("cases", number, "closing", body={**said, **_as_read(visit)})
    asked = asked_in(visit.form)
    following_one = _next(visit, asked, 0)
    listed = "".join(f", on list {each['list']}" for each in said.get("listings", ()))
    done = f"Case {number} is closed: {said['verdict']}{listed}."
    if following_one is None:
        return visit.to(f"/cases{_along(asked)}", f"{done} No case is open.")
    return visit.to(f"/cases/{following_one}{_along(asked)}", done)


def closing_in(form: Mapping[str, str]) -> dict[str, Any]:
    """How a case shall end, of a form."""
    why = form.get("why", "").strip()
    said: dict[str, Any] = {"verdict": form.get("verdict", ""), "why": why}
    if form.get("list"):
        expires = end_in(form)
        said["listings"] = [{"list": form["list"], "expires": expires, "reason": why}]
    return said


def reopen(visit: Visit) -> Response:
    """Open a closed case again."""
    body = {"why": visit.form.get("why", "").strip()}
    return _done(visit, "reopening", body, "The case is open again.")


def _done(visit: Visit, act: str, body: dict[str, Any], notice: str) -> Response:
    """Do something with a case as it was read, and return to it."""
    number = visit.path["number"]
    visit.api.post("cases", number, act, body={**body, **_as_read(visit)})
    return visit.to(f"/cases/{number}{_along(asked_in(visit.form))}", notice)


def _as_read(visit: Visit) -> dict[str, int]:
    revision = visit.form.get("revision", "")
    if not revision:
        raise InvalidTransaction("revision", "is missing; open the case again")
    return {"revision": whole_number("revision", revision)}


# Many at once ----------------------------------------------------------------------


def bulk(visit: Visit) -> Response:
    """Say how many cases an act would be done with; do it once that was confirmed."""
    asked, act = asked_in(visit.form), visit.form.get("act", "")
    why, selection = visit.form.get("why", "").strip(), visit.form.get("selection", "")
    wanted: dict[str, Any] = {k: v for k, v in asked.items() if k != "order"}
    if "overdue" in wanted:
        wanted["overdue"] = True
    body = {"filter": wanted, **_act(act), "selection": selection, "why": why}
    told = visit.api.post("case-bulks", body=body).json
    if told["done"]:
        return visit.to(f"/cases{_along(asked)}", _done_with(told))
    return visit.page(
        "case_bulk.html",
        title="Many cases at once",
        count=told["count"],
        said=_cases(told["count"]),
        selection=told["selection"],
        act=act,
        acts=dict(BULK_ACTS),
        why=why,
        asked=asked,
        along=_along(asked),
    )


def _act(act: str) -> dict[str, Any]:
    if act in VERDICTS:
        return {"closing": {"verdict": act}}
    if act not in dict(BULK_ACTS):
        raise InvalidTransaction("act", f"is one of {', '.join(dict(BULK_ACTS))}")
    return {"assign_to": ""} if act == "take" else {"release": True}


def _done_with(told: Mapping[str, Any]) -> str:
    """With how many it was done, and with which it was not, and why.

    >>> left = [{"number": 7, "why": "it is closed"}]
    >>> _done_with({"done_count": 1, "left": left})
    'Done with 1 case. Not with case 7: it is closed.'
    """
    left, more = told["left"][:_LEFT_NAMED], len(told["left"]) - _LEFT_NAMED
    parts = [f"Done with {_cases(told['done_count'])}"]
    parts += [f"Not with case {each['number']}: {each['why']}" for each in left]
    if more > 0:
        parts.append(f"Nor with {_cases(more)} more")
    return f"{'. '.join(parts)}."


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"


def _fields(decision: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The payment's fields that say something; none once it was erased."""
    payment = (decision or {}).get("transaction") or {}
    return [
        (name, ", ".join(f"{k} {v}" for k, v in value.items()))
        if isinstance(value, dict)
        else (name, str(value))
        for name, value in payment.items()
    ]


_WORK = PageRight.WORK_CASES
ROUTES: tuple[PageRoute, ...] = (
    reads("/cases", queue),
    reads("/cases/next", following),
    writes("/cases/bulk", bulk, _WORK),
    reads("/cases/{number:number}", case),
    writes("/cases/{number:number}/take", take, _WORK),
    writes("/cases/{number:number}/give-back", give_back, _WORK),
    writes("/cases/{number:number}/note", note, _WORK),
    writes("/cases/{number:number}/close", close, _WORK),
    writes("/cases/{number:number}/triage", triage, _WORK),
    writes("/cases/{number:number}/reopen", reopen, _WORK),
)
