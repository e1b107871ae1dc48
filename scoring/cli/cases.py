"""`scoring cases`: payments that a person looks at, and how each ends."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoring.cli.options.cases import (
    Assignee,
    Below,
    From,
    Json,
    Merchant,
    NewerThan,
    OlderThan,
    OutcomeOption,
    Overdue,
    ReasonCode,
    Rule,
    State,
    Tenant,
    hours_ago_ms,
    said,
)
from scoring.cli.options.control import with_control

if TYPE_CHECKING:
    from scoring.client.control_plane import ControlApi

app = typer.Typer(
    help="Work on the queue of payments that were sent to people.",
    no_args_is_help=True,
)
Number = Annotated[int, typer.Argument(help="the case, as `list` shows it")]
WhyOption = Annotated[str, typer.Option("--why", help="the reason, for the audit")]
Revision = Annotated[
    int | None,
    typer.Option(help="refuse where the case is at another revision than this"),
]
Verdict = Annotated[str, typer.Option(help="fraud, legitimate or inconclusive")]
OnLists = Annotated[
    list[str] | None,
    typer.Option("--list", help="put the payment's token on this list; repeatable"),
]
Expires = Annotated[
    str, typer.Option(help="of the entries, such as 2026-12-31T23:00:00Z")
]


@app.command("list")
@with_control
def list_(
    api: ControlApi,
    *,
    state: State = "",
    overdue: Overdue = None,
    assignee: Assignee = "",
    tenant: Tenant = "",
    outcome: OutcomeOption = "",
    rule: Rule = "",
    reason: ReasonCode = "",
    merchant: Merchant = "",
    from_: From = None,
    below: Below = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    order: Annotated[str, typer.Option(help="oldest, newest or largest")] = "oldest",
    limit: Annotated[int, typer.Option(min=1, help="at most so many")] = 50,
    as_json: Json = False,
) -> None:
    """Show the queue, the oldest first."""
    from scoring.cli.plane.show_cases import cases_shown

    wanted = said(
        state=state,
        overdue=None if overdue is None else str(overdue).lower(),
        assignee=assignee,
        tenant=tenant,
        outcome=outcome,
        rule=rule,
        reason=reason,
        merchant=merchant,
        worth_from=from_,
        worth_below=below,
        decided_before_ms=hours_ago_ms(older_than),
        decided_from_ms=hours_ago_ms(newer_than),
    )
    found = api.items("cases", **wanted, order=order, limit=min(limit, 200))
    cases_shown(list(islice(found, limit)), as_json=as_json)


@app.command()
@with_control
def figures(api: ControlApi, *, as_json: Json = False) -> None:
    """Show how many cases wait, and since when the oldest does."""
    import json

    from scoring.cli.plane.show import time_of

    told = api.get("case-figures").json
    if as_json:
        typer.echo(json.dumps(told))
        return
    oldest = time_of(told["oldest_ms"]) or "none"
    typer.echo(
        f"{told['open']:,} open, {told['assigned']:,} assigned, "
        f"{told['overdue']:,} overdue; the oldest was decided: {oldest}"
    )


@app.command()
@with_control
def show(
    api: ControlApi,
    number: Number,
    *,
    as_json: Json = False,
) -> None:
    """Show a case with its notes and labels, and other cases of its tokens."""
    from scoring.cli.plane.show_cases import detail_shown

    detail_shown(api.get("cases", number).json, as_json=as_json)


@app.command()
@with_control
def find(
    api: ControlApi,
    shared: Annotated[str, typer.Argument(help="card, customer, device or payment")],
    token: Annotated[str, typer.Argument(help="its token, never a card number")],
    *,
    tenant: Tenant = "",
    as_json: Json = False,
) -> None:
    """Show the newest cases of a token, closed ones too."""
    from scoring.cli.plane.show_cases import cases_shown

    body = {"shared": shared, "token": token, "tenant": tenant}
    cases_shown(api.post("case-look-up", body=body).json["items"], as_json=as_json)


@app.command()
@with_control
def forget(
    api: ControlApi,
    shared: Annotated[str, typer.Argument(help="card, customer or device")],
    token: Annotated[str, typer.Argument(help="its token, never a card number")],
    *,
    tenant: Tenant = "",
    why: WhyOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Erase what is personal of a token in cases, and take it off the lists.

    Open cases of it end without a finding. It cannot be undone.
    """
    body = {"shared": shared, "token": token, "tenant": tenant, "why": why}
    if not yes:
        typer.confirm(f"Erase what is kept of this {shared}?", abort=True)
    told = api.post("case-forgettings", body=body).json
    lists = ", ".join(told["lists"]) or "no list"
    typer.echo(f"erased {told['cases']:,} cases; off {lists}")


@app.command()
@with_control
def take(
    api: ControlApi,
    number: Number,
    *,
    revision: Revision = None,
) -> None:
    """Take a case, or keep it for longer."""
    _do(api, number, "assignment", said(revision=revision))


@app.command()
@with_control
def assign(
    api: ControlApi,
    number: Number,
    person: Annotated[str, typer.Argument(help="who shall have it")],
    *,
    revision: Revision = None,
    why: WhyOption = "",
) -> None:
    """Assign a case to somebody."""
    body = {"to": person, "why": why} | said(revision=revision)
    _do(api, number, "assignment", body)


@app.command()
@with_control
def release(
    api: ControlApi,
    number: Number,
    *,
    revision: Revision = None,
    why: WhyOption = "",
) -> None:
    """Give a case back to the queue."""
    _do(api, number, "release", {"why": why} | said(revision=revision))


@app.command()
@with_control
def note(
    api: ControlApi,
    number: Number,
    text: Annotated[str, typer.Argument(help="never a card number")],
) -> None:
    """Write beside a case."""
    told = api.post("cases", number, "notes", body={"text": text}).json
    typer.echo(f"case {number} has note {told['note']}")


@app.command()
@with_control
def close(
    api: ControlApi,
    number: Number,
    *,
    verdict: Verdict,
    on_lists: OnLists = None,
    expires: Expires = "",
    reason: Annotated[str, typer.Option(help="kept beside the tokens")] = "",
    label_version: Annotated[
        int, typer.Option(min=0, help="above what others reported; 0: the next")
    ] = 0,
    revision: Revision = None,
    why: WhyOption = "",
) -> None:
    """Close a case: write its label, and put its tokens on lists, in one step."""
    body = _closing(verdict, on_lists, expires, reason) | {"why": why}
    body |= {"label_version": label_version} | said(revision=revision)
    _do(api, number, "closing", body)


@app.command()
@with_control
def reopen(
    api: ControlApi,
    number: Number,
    *,
    why: Annotated[str, typer.Option("--why", help="the reason, for the audit")],
    revision: Revision = None,
) -> None:
    """Open a closed case again; its label stays until it is closed otherwise."""
    _do(api, number, "reopening", {"why": why} | said(revision=revision))


@app.command()
@with_control
def bulk(
    api: ControlApi,
    *,
    close_as: Annotated[
        str, typer.Option("--close", metavar="VERDICT", help="close each of them")
    ] = "",
    assign_to: Annotated[
        str, typer.Option("--assign", metavar="PERSON", help="assign each of them")
    ] = "",
    release_each: Annotated[
        bool, typer.Option("--release", help="give each of them back")
    ] = False,
    on_lists: OnLists = None,
    expires: Expires = "",
    list_reason: Annotated[str, typer.Option(help="kept beside the tokens")] = "",
    state: State = "",
    overdue: Overdue = None,
    assignee: Assignee = "",
    tenant: Tenant = "",
    outcome: OutcomeOption = "",
    rule: Rule = "",
    reason: ReasonCode = "",
    merchant: Merchant = "",
    from_: From = None,
    below: Below = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    why: WhyOption = "",
    dry_run: Annotated[bool, typer.Option(help="only say how many")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Do one thing with every case of a filter, once their number is shown."""
    wanted = said(
        state=state,
        overdue=overdue,
        assignee=assignee,
        tenant=tenant,
        outcome=outcome,
        rule=rule,
        reason=reason,
        merchant=merchant,
        worth_from=from_,
        worth_below=below,
        decided_before_ms=hours_ago_ms(older_than),
        decided_from_ms=hours_ago_ms(newer_than),
    )
    body: dict[str, Any] = {"filter": wanted, "why": why}
    if close_as:
        body["closing"] = _closing(close_as, on_lists, expires, list_reason)
    if assign_to:
        body["assign_to"] = assign_to
    if release_each:
        body["release"] = True
    shown = api.post("case-bulks", body=body).json
    typer.echo(f"{shown['count']:,} cases are meant")
    if dry_run or not shown["count"]:
        return
    if not yes:
        typer.confirm("Do it with all of them?", abort=True)
    done = api.post("case-bulks", body=body | {"selection": shown["selection"]}).json
    typer.echo(f"done with {done['done_count']:,} cases")
    for left in done["left"]:
        typer.echo(f"not with case {left['number']}: {left['why']}", err=True)


def _closing(
    verdict: str, on_lists: list[str] | None, expires: str, reason: str
) -> dict[str, Any]:
    listings = [
        {"list": name, "expires": expires, "reason": reason} for name in on_lists or ()
    ]
    return {"verdict": verdict, "listings": listings}


def _do(api: ControlApi, number: int, what: str, body: dict[str, Any]) -> None:
    from scoring.cli.plane.show_cases import case_line

    typer.echo(case_line(api.post("cases", number, what, body=body).json))
