"""What commands of cases print."""

from __future__ import annotations

import json
from collections.abc import Iterable

import typer

from scoring.cli.plane.show import Item, table, time_of

_MS_PER_H = 3_600_000


def cases_shown(items: Iterable[Item], *, as_json: bool) -> None:
    """Cases as a table, or a line of JSON each."""
    if as_json:
        for each in items:
            typer.echo(json.dumps(each, ensure_ascii=False))
        return
    table(
        ("case", "is", "decided", "due", "amount", "merchant", "outcome", "because"),
        (
            (
                each["number"],
                _is(each),
                time_of(each["decided_at_ms"]),
                time_of(each["due_at_ms"]) + (" !" if each["is_overdue"] else ""),
                amount_of(each),
                each["merchant"],
                each["outcome"],
                ", ".join([*each["rules"], *each["reasons"]]),
            )
            for each in items
        ),
    )


def amount_of(case: Item) -> str:
    """An amount in minor units, with its currency.

    >>> amount_of({"amount_minor": 1250, "currency": "EUR"})
    '1,250 EUR'
    >>> amount_of({"amount_minor": None, "currency": "EUR"})
    'unknown'
    """
    minor = case["amount_minor"]
    return "unknown" if minor is None else f"{minor:,} {case['currency']}"


def case_line(case: Item) -> str:
    """What has become of a case."""
    line = f"case {case['number']} is {_is(case)}"
    if case["state"] == "assigned":
        line += f" until {time_of(case['lease_until_ms'])} UTC"
    if (closing := case["closing"]) is not None:
        version = closing["label_version"]
        line += f", label {version}" if version else ", without a label"
        for each in closing["listed"]:
            line += f", {each['token']} on {each['list']}"
    return f"{line}; revision {case['revision']}"


def detail_shown(told: Item, *, as_json: bool) -> None:
    """A case with all that is kept of it."""
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    case = told["case"]
    typer.echo(case_line(case))
    for name in ("tenant", "transaction_id", "payment_id", "outcome", "policy"):
        typer.echo(f"  {name}: {case[name]}")
    score = case["score"]
    typer.echo(f"  score: {'none' if score is None else format(score, '.4f')}")
    typer.echo(f"  amount: {amount_of(case)}")
    typer.echo(f"  decided: {time_of(case['decided_at_ms'])} UTC")
    typer.echo(f"  due: {time_of(case['due_at_ms'])} UTC")
    for reason in ((told["decision"] or {}).get("core") or {}).get("reasons", ()):
        typer.echo(f"  because: {reason['code']}: {reason.get('wording', '')}")
    if case["rules"]:
        typer.echo(f"  rules: {', '.join(case['rules'])}")
    for link in told["links"]:
        numbers = ", ".join(str(each["number"]) for each in link["newest"])
        others = f"{link['count']} other cases" + (f": {numbers}" if numbers else "")
        typer.echo(f"  {link['shared']} {link['token']}: {others}")
    for label in told["labels"]:
        left = time_of(label["published_at_ms"]) or "waits"
        typer.echo(f"  label {label['version']}: {label['verdict']}, sent: {left}")
    for note in told["notes"]:
        typer.echo(f"  {time_of(note['at_ms'])} {note['by']}: {note['text']}")


def _is(case: Item) -> str:
    if case["state"] == "assigned":
        return f"with {case['assignee']}"
    if case["closing"] is not None:
        return f"closed: {case['closing']['verdict']}, by {case['closing']['by']}"
    return str(case["state"])
