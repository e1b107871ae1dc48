"""Cases: the queue of what waits for a person, and one case until it is closed."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from scoring.console.edge import whole_number
from scoring.console.list_pages import instant_of
from scoring.console.live import OUTCOMES
from scoring.console.visit import PageRight, PageRoute, Visit, reads, writes
from scoring.errors import InvalidTransaction

ORDERS = ("oldest", "largest", "newest")
STATES = ("open", "assigned", "closed")
VERDICTS = ("fraud", "legitimate", "inconclusive")
_FILTERS = ("state", "outcome", "rule", "merchant", "assignee", "order")


def queue(visit: Visit) -> Response:
    """The queue, by what is asked for."""
    asked = {name: visit.query[name] for name in _FILTERS if visit.query.get(name)}
    if "overdue" in visit.query:
        asked["overdue"] = "true"
    page = visit.api.get("cases", **asked, cursor=visit.query.get("cursor", "")).json
    return visit.page(
        "cases.html",
        title="Cases",
        figures=visit.api.get("case-figures").json,
        items=page["items"],
        more=page["next"],
        asked=asked,
        orders=ORDERS,
        states=STATES,
        outcomes=OUTCOMES,
    )


def case(visit: Visit) -> Response:
    """A case with what helps to judge it."""
    number = visit.path["number"]
    found = visit.api.get("cases", number).json
    lists = visit.api.get("lists").json["items"]
    shown = found["case"]
    return visit.page(
        "case.html",
        title=f"Case {number}",
        case=shown,
        payment=_fields(found["decision"]),
        notes=found["notes"],
        labels=found["labels"],
        links=found["links"],
        verdicts=VERDICTS,
        lists=[each for each in lists if shown.get(each["field"])],
    )


def following(visit: Visit) -> Response:
    """The next case that nobody has: the oldest."""
    items = visit.api.get("cases", state="open", limit=1).json["items"]
    if not items:
        return visit.to("/cases", "No case is open.")
    return visit.to(f"/cases/{items[0]['number']}")


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
    why = visit.form.get("why", "").strip()
    body: dict[str, Any] = {"verdict": visit.form.get("verdict", ""), "why": why}
    if visit.form.get("list"):
        listing = {
            "list": visit.form["list"],
            "expires": instant_of(visit.form.get("expires", "")),
            "reason": why,
        }
        body["listings"] = [listing]
    return _done(visit, "closing", body, f"Closed: {body['verdict']}.")


def reopen(visit: Visit) -> Response:
    """Open a closed case again."""
    body = {"why": visit.form.get("why", "").strip()}
    return _done(visit, "reopening", body, "The case is open again.")


def _done(visit: Visit, act: str, body: dict[str, Any], notice: str) -> Response:
    """Do something with a case as it was read, and return to it."""
    number, revision = visit.path["number"], visit.form.get("revision", "")
    if not revision:
        raise InvalidTransaction("revision", "is missing; open the case again")
    read = whole_number("revision", revision)
    visit.api.post("cases", number, act, body={**body, "revision": read})
    return visit.to(f"/cases/{number}", notice)


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
    reads("/cases/{number:number}", case),
    writes("/cases/{number:number}/take", take, _WORK),
    writes("/cases/{number:number}/give-back", give_back, _WORK),
    writes("/cases/{number:number}/note", note, _WORK),
    writes("/cases/{number:number}/close", close, _WORK),
    writes("/cases/{number:number}/reopen", reopen, _WORK),
)
