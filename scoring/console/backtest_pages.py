"""Backtests: asked for, followed, cancelled, and what they found."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from scoring.console.backtest_figures import found_by
from scoring.console.edge import whole_number
from scoring.console.policy_pages import ACTS, PROPOSABLE
from scoring.console.visit import PageRight, PageRoute, Visit, reads, writes

PATH = "/policy/backtests"
OPEN = frozenset({"queued", "running"})
DAYS = 90


def backtests(visit: Visit) -> Response:
    """What the control plane runs or ran, the newest first."""
    cursor = visit.query.get("cursor", "")
    page = visit.api.get("backtests", reports="false", cursor=cursor).json
    return visit.page(
        "backtests.html", title="Backtests", items=page["items"], more=page["next"]
    )


def backtest(visit: Visit) -> Response:
    """How far one is, or what it found."""
    told = told_of(visit)
    policy = None
    if told["policy"] is not None:
        policy = visit.api.get("policies", told["policy"]).json
    return visit.page(
        "backtest.html",
        title=f"Backtest {told['number']}",
        told=told,
        place=f"{PATH}/{told['number']}",
        is_open=told["state"] in OPEN,
        found=found_by(told["figures"]) if told["figures"] else None,
        policy=policy,
        acts=ACTS,
        proposable=_is_proposable(policy, told),
    )


def progress(visit: Visit) -> Response:
    """How far one is: a part of its page, which loads the page once it has ended."""
    told = told_of(visit)
    return visit.page(
        "backtest_progress.html",
        told=told,
        place=f"{PATH}/{told['number']}",
        is_open=told["state"] in OPEN,
    )


def ask(visit: Visit) -> Response:
    """Put a backtest of a version against what is in force into the queue."""
    policy = whole_number("policy", visit.form.get("policy", ""))
    return asked(visit, PATH, {"policy": policy})


def cancel(visit: Visit) -> Response:
    """Cancel one that waits or runs."""
    number = visit.path["number"]
    visit.api.delete("backtests", number)
    return visit.to(f"{PATH}/{number}", f"Backtest {number} is cancelled.")


def asked(visit: Visit, place: str, subject: dict[str, Any]) -> Response:
    """Ask for a backtest of a subject by the form's scope; then the page of it."""
    days = visit.form.get("days", "").strip()
    scope = {
        "days": whole_number("days", days) if days else DAYS,
        "tenant": visit.form.get("tenant", "").strip(),
        "why": visit.form.get("why", "").strip(),
    }
    told = visit.api.post("backtests", body=subject | scope).json
    return visit.to(f"{place}/{told['number']}")


def told_of(visit: Visit) -> dict[str, Any]:
    """What the control plane tells of the backtest that the path names."""
    told: dict[str, Any] = visit.api.get("backtests", visit.path["number"]).json
    return told


def _is_proposable(policy: dict[str, Any] | None, told: dict[str, Any]) -> bool:
    """Whether a proposal of the version would carry just this."""
    return (
        policy is not None
        and told["state"] == "done"
        and policy["version"] == told["version"]
        and policy["state"] in PROPOSABLE
    )


_ONE = f"{PATH}/{{number:number}}"
ROUTES: tuple[PageRoute, ...] = (
    reads(PATH, backtests),
    writes(PATH, ask, PageRight.BACKTEST),
    reads(_ONE, backtest),
    reads(f"{_ONE}/progress", progress),
    writes(f"{_ONE}/cancel", cancel, PageRight.BACKTEST),
)
