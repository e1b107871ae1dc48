"""Thresholds: what each level costs, by segment, and a draft of the cheapest ones."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, nan
from typing import Any

from starlette.responses import Response

from scoring.console.backtest_pages import PATH
from scoring.console.charts import Line, line_chart
from scoring.console.policy_acts import done_of
from scoring.console.visit import PageRight, PageRoute, Visit, reads, writes
from scoring.core.transaction.codes import CURRENCY_DIGITS
from scoring.errors import InvalidTransaction

_EVERY = 10  # of the thousand levels: a line has a hundred points
# What is asked for: its field, where it stands in a file of costs, its words, and an
# example. A share is in percent, a price in the currency's own unit.
FIELDS = (
    ("missed_share", ("missed_fraud", "share"), "Missed fraud: of it, %", "100"),
    ("missed_fixed", ("missed_fraud", "fixed_minor"), "and for each", "20"),
    ("refused_share", ("refused_customer", "share"), "Customer refused: of it, %", "5"),
    ("refused_fixed", ("refused_customer", "fixed_minor"), "and for each", "5"),
    ("step_fixed", ("challenge", "fixed_minor"), "Step-up: its price", "0.10"),
    ("step_lost", ("challenge", "genuine_abandons"), "customers who give up, %", "10"),
    ("step_passed", ("challenge", "fraud_passes"), "fraud that passes it, %", "10"),
    ("look_fixed", ("review", "fixed_minor"), "Review: its price", "3"),
    ("look_found", ("review", "fraud_found"), "fraud that it finds, %", "90"),
    ("look_refused", ("review", "genuine_refused"), "customers it refuses, %", "1"),
)  # fmt: skip


def thresholds(visit: Visit) -> Response:
    """The costs that are asked for, and the levels that cost least by them."""
    number = visit.path["number"]
    told = visit.api.get("backtests", number).json
    figures = told["figures"] or {}
    currency = figures.get("reference_currency", "")
    asked = any(name in visit.query for name, *_ in FIELDS)
    found = _chosen(visit, visit.query, currency) if asked else None
    return visit.page(
        "thresholds.html",
        title=f"Thresholds by backtest {number}",
        told=told,
        currency=currency,
        fields=[
            (name, words, visit.query.get(name, "" if asked else example))
            for name, _, words, example in FIELDS
        ],
        found=found,
        charts=_charts(found["segments"]) if found else [],
        cheaper=_cheaper(found["segments"]) if found else 0,
    )


def draft(visit: Visit) -> Response:
    """Make a draft of the judged version with the cheapest levels."""
    number = visit.path["number"]
    told = visit.api.get("backtests", number).json
    currency = (told["figures"] or {}).get("reference_currency", "")
    found = _chosen(visit, visit.form, currency)
    base = found["policy"]
    reasons = None
    if base is not None:
        reasons = visit.api.get("policies", base).json["reasons"]
    body = {
        "text": found["text"],
        "reasons": reasons,
        "based_on": base,
        "why": visit.form.get("why", "").strip() or f"cheapest by backtest {number}",
    }
    done = visit.api.post("policies", body=body).json
    told_on = f"{done_of(done)} Backtest it, and propose it from there."
    return visit.to(f"/policy/{done['policy']['number']}", told_on)


def _chosen(visit: Visit, written: Mapping[str, str], currency: str) -> dict[str, Any]:
    body = {"costs": costs_of(written, currency)}
    path = ("backtests", visit.path["number"], "thresholds")
    found: dict[str, Any] = visit.api.post(*path, body=body).json
    return found


def costs_of(written: Mapping[str, str], currency: str) -> dict[str, dict[str, float]]:
    """The costs of a form as a file of costs has them; raises `InvalidTransaction`.

    >>> form = {name: example for name, _, _, example in FIELDS}
    >>> costs_of(form, "EUR")["review"]
    {'fixed_minor': 300.0, 'fraud_found': 0.9, 'genuine_refused': 0.01}
    """
    found: dict[str, dict[str, float]] = {}
    for name, (part, key), words, _ in FIELDS:
        number = _number(written.get(name, ""), words)
        unit = 10 ** CURRENCY_DIGITS.get(currency, 0)
        worth = number * unit if key == "fixed_minor" else number / 100
        found.setdefault(part, {})[key] = worth
    return found


def _number(written: str, words: str) -> float:
    try:
        number = float(written.strip().rstrip(" %"))
    except ValueError:
        number = nan
    if not isfinite(number) or number < 0:
        raise InvalidTransaction(words, "is a number such as 5 or 0.10")
    return number


def _charts(segments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each level of decline costs, by segment."""
    return [
        {
            "segment": one["segment"],
            "now": one["now"][2] or 1.0,
            "cheapest": one["chosen"][2] or 1.0,
            "chart": line_chart(
                [Line("Cost", _points(one["costs_minor"]))],
                {"Now": one["now"][2] or 1.0, "Cheapest": one["chosen"][2] or 1.0},
            ),
        }
        for one in segments
        if one["costs_minor"] and one["frauds"]
    ]


def _points(costs: list[float]) -> list[tuple[float, float]]:
    steps = len(costs)
    return [((i + 1) / steps, costs[i]) for i in range(_EVERY - 1, steps, _EVERY)]


def _cheaper(segments: list[dict[str, Any]]) -> float:
    """How much less the chosen levels cost, minor units."""
    chosen = (one for one in segments if not one["kept"])
    return float(sum(one["cost_now_minor"] - one["cost_minor"] for one in chosen))


_ONE = f"{PATH}/{{number:number}}/thresholds"
ROUTES: tuple[PageRoute, ...] = (
    reads(_ONE, thresholds),
    writes(_ONE, draft, PageRight.WRITE_POLICY),
)
