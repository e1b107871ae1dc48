"""The rules of a version, with what they did; one of them is drafted as a shadow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from scoring.console.backtest_figures import found_by
from scoring.console.policy_acts import done_of
from scoring.console.policy_text import policy_in, rules_in
from scoring.console.visit import PageRight, PageRoute, Visit, writes
from scoring.core.policy.rule_mode import with_mode
from scoring.errors import InvalidTransaction

_SHOWN = ("id", "mode", "then", "owner", "when", "rollout")
MODES = ("shadow", "off", "enforce")


def rules_of(text: str) -> list[dict[str, Any]]:
    """The rules of a policy's text as it has them; none where it cannot be read.

    >>> rules_of("rules: [{id: a, when: 'score > 0.5', then: review}]")[0]["mode"]
    'enforce'
    """
    blank = dict.fromkeys(_SHOWN, "") | {"mode": "enforce"}
    return [
        blank | {n: str(rule[n]).strip() for n in _SHOWN if n in rule}
        for rule in rules_in(policy_in(text))
    ]


def figured(
    visit: Visit, backtests: list[dict[str, Any]]
) -> tuple[dict[str, Any] | None, Mapping[str, Any]]:
    """The newest of a version's backtests that is done, and its rules by their ids."""
    for each in backtests:
        if each["state"] == "done":
            figures = visit.api.get("backtests", each["number"]).json["figures"]
            found = found_by(figures)
            return each, {rule["rule"]: rule for rule in found.get("rules", ())}
    return None, {}


def set_mode(visit: Visit) -> Response:
    """Make a draft of a version with one rule in another mode."""
    number, rule = visit.path["number"], visit.form.get("rule", "")
    mode = visit.form.get("mode", "")
    if mode not in MODES:
        raise InvalidTransaction("mode", f"is one of {', '.join(MODES)}")
    read = visit.api.get("policies", number).json
    body = {
        "text": with_mode(read["text"], rule, mode),
        "reasons": read["reasons"],
        "based_on": number,
        "why": visit.form.get("why", "").strip() or f"{rule}: {mode}",
    }
    done = visit.api.post("policies", body=body).json
    told = f"{done_of(done)} Rule {rule} is {mode} in it: propose it."
    return visit.to(f"/policy/{done['policy']['number']}", told)


ROUTES: tuple[PageRoute, ...] = (
    writes("/policy/{number:number}/mode", set_mode, PageRight.WRITE_POLICY),
)
