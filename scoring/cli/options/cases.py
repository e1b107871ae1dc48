"""Options by which commands say which cases are meant."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

State = Annotated[
    str, typer.Option(help="open, assigned or closed; default: whatever is not closed")
]
Overdue = Annotated[
    bool | None, typer.Option("--overdue/--in-time", help="past the time they are due")
]
Assignee = Annotated[str, typer.Option(help="whose they are, or were last")]
Tenant = Annotated[str, typer.Option(help="of one tenant alone")]
OutcomeOption = Annotated[str, typer.Option(help="approve, challenge, review, decline")]
Rule = Annotated[str, typer.Option(help="a rule that held")]
ReasonCode = Annotated[str, typer.Option("--reason", help="a reason's code")]
Merchant = Annotated[str, typer.Option(help="a merchant's token")]
From = Annotated[
    int | None,
    typer.Option("--from", help="least amount, minor units of the reference currency"),
]
Below = Annotated[int | None, typer.Option(help="less than this amount")]
OlderThan = Annotated[
    float | None, typer.Option("--older-than", help="decided more hours ago than this")
]
NewerThan = Annotated[
    float | None, typer.Option("--newer-than", help="decided fewer hours ago")
]
Json = Annotated[bool, typer.Option("--json", help="JSON, a line each")]
_MS_PER_H = 3_600_000


def hours_ago_ms(hours: float | None) -> int | None:
    """The instant of so many hours ago."""
    if hours is None:
        return None
    return max(0, round(time.time() * 1_000 - hours * _MS_PER_H))


def said(**wanted: Any) -> dict[str, Any]:
    """What was said of a filter, as the API takes it.

    >>> said(rule="velocity", merchant="", worth_from=0, overdue=None)
    {'rule': 'velocity', 'worth_from': 0}
    """
    return {name: v for name, v in wanted.items() if v is not None and v != ""}
