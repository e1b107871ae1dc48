"""The editor: a text is checked as it is written, and kept as a draft."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from scoring.client.control_plane import Refused, Reply
from scoring.console.edge import whole_number
from scoring.console.policy_acts import done_of
from scoring.console.policy_pages import in_force
from scoring.console.visit import PageRight, PageRoute, Visit, writes


@dataclass(frozen=True, slots=True)
class ShownFault:
    """One thing that is wrong with a text; `lines` show where, with a caret."""

    line: int
    field: str
    detail: str
    remedy: str
    lines: tuple[str, ...] = ()


def faults_of(problem: Mapping[str, Any]) -> list[ShownFault]:
    """The faults of a refusal: what names no place belongs to the one before.

    >>> [fault] = faults_of({"detail": "no field", "line": 3, "errors": [
    ...     {"detail": "no field", "line": 3}, {"detail": "  amont > 1"},
    ...     {"detail": "  ^"}]})
    >>> fault.line, fault.lines
    (3, ('  amont > 1', '  ^'))
    """
    found: list[ShownFault] = []
    for each in problem.get("errors") or [problem]:
        if found and not each.keys() & {"line", "field", "remedy"}:
            last = found.pop()
            lines = (*last.lines, each["detail"])
            found.append(
                ShownFault(last.line, last.field, last.detail, last.remedy, lines)
            )
        else:
            found.append(
                ShownFault(
                    each.get("line", 0),
                    each.get("field", ""),
                    each.get("detail", ""),
                    each.get("remedy", ""),
                )
            )
    return found


def new(visit: Visit) -> Response:
    """A draft of the text in force, or of none."""
    release, _ = in_force(visit)
    based_on = release["policy"] if release else None
    text = ""
    if based_on is not None:
        text = visit.api.get("policies", based_on).json["text"]
    return _editor(visit, text=text, based_on=based_on)


def edit(visit: Visit) -> Response:
    """Another text of a draft; of a version that is none, a new draft."""
    number = visit.path["number"]
    reply = visit.api.get("policies", number)
    return _editor(visit, text=reply.json["text"], number=number, tag=reply.etag)


def check(visit: Visit) -> Response:
    """What is wrong with a text as it is now: a part of the editor's page."""
    base = visit.form.get("number", "") or visit.form.get("based_on", "")
    try:
        body = {"text": visit.form.get("text", ""), "reasons": _reasons(visit, base)}
        said = visit.api.post("policy-check", body=body)
    except Refused as error:
        if not error.problem:
            raise
        return visit.page(
            "policy_check.html", faults=faults_of(error.problem), checked=None
        )
    return visit.page("policy_check.html", faults=[], checked=said.json)


def keep_new(visit: Visit) -> Response:
    """Keep a new draft, with the table of reasons of what it is based on."""
    based_on = visit.form.get("based_on", "")

    def keep() -> Reply:
        body = {
            "text": visit.form.get("text", ""),
            "reasons": _reasons(visit, based_on),
            "based_on": whole_number("based_on", based_on) if based_on else None,
            "why": visit.form.get("why", "").strip(),
        }
        return visit.api.post("policies", body=body)

    return _kept(visit, keep)


def keep_edit(visit: Visit) -> Response:
    """Keep another text of a draft, if it is still the one that was read."""
    number = visit.path["number"]
    read = visit.api.get("policies", number).json
    body = {
        "text": visit.form.get("text", ""),
        "reasons": read["reasons"],
        "why": visit.form.get("why", "").strip(),
    }
    tag = visit.form.get("tag", "")
    return _kept(visit, lambda: visit.api.put("policies", number, body=body, etag=tag))


def _reasons(visit: Visit, based_on: str) -> str | None:
    """A version's own table of reasons, which no form carries; None where it has none.

    Raises `InvalidTransaction` for what is no version's number.
    """
    if not based_on:
        return None
    base = visit.api.get("policies", whole_number("based_on", based_on)).json
    table: str | None = base["reasons"]
    return table


def _kept(visit: Visit, keep: Callable[[], Reply]) -> Response:
    """To the draft; a refusal leaves what was written in the editor."""
    try:
        done = keep().json
    except Refused as error:
        if not error.problem:
            raise
        return _editor(
            visit,
            text=visit.form.get("text", ""),
            number=visit.path.get("number"),
            tag=visit.form.get("tag", ""),
            based_on=visit.form.get("based_on") or None,
            problem=error.problem,
        )
    return visit.to(f"/policy/{done['policy']['number']}", done_of(done))


def _editor(
    visit: Visit, *, text: str, problem: Mapping[str, Any] | None = None, **of: Any
) -> Response:
    number = of.get("number")
    return visit.page(
        "policy_editor.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        title=f"Edit policy {number}" if number else "New draft",
        text=text,
        number=number,
        tag=of.get("tag", ""),
        based_on=of.get("based_on"),
        why=visit.form.get("why", ""),
        faults=faults_of(problem) if problem else [],
        checked=None,
        changes=problem.get("changes", []) if problem else [],
    )


ROUTES: tuple[PageRoute, ...] = (
    PageRoute("GET", "/policy/new", frozenset({PageRight.WRITE_POLICY}), new),
    writes("/policy/new", keep_new, PageRight.WRITE_POLICY),
    writes("/policy/check", check, PageRight.READ),
    PageRoute(
        "GET",
        "/policy/{number:number}/edit",
        frozenset({PageRight.WRITE_POLICY}),
        edit,
    ),
    writes("/policy/{number:number}/edit", keep_edit, PageRight.WRITE_POLICY),
)
