"""The gate: what has to be shown, or said, before a version is approved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scoring.control.domain.approvals import Act
from scoring.control.domain.control_rules import ControlRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """A backtest of one version against another, on the same eligible payments.

    `accepted_*` is what `against` accepted; `declined_*` what of that the version
    would decline, by count and amount (reference currency, minor units). `figures` is
    the whole report.
    """

    number: int
    version: str
    against: str
    accepted_count: int
    accepted_amount_minor: int
    declined_count: int
    declined_amount_minor: int
    by: str
    at_ms: int
    figures: Mapping[str, Any] = field(default_factory=dict)


def asks_why(
    act: Act,
    version: str,
    backtest: Backtest | None,
    in_force: str | None,
    rules: ControlRules,
) -> tuple[str, ...]:
    """What the gate asks a written reason for; empty where it opens by itself.

    A shadow declines nothing, and passes.
    """
    if act is Act.SHADOW:
        return ()
    if backtest is None or backtest.version != version:
        return (f"no backtest of {version} comes with the proposal",)
    if in_force is not None and backtest.against != in_force:
        return (
            f"the backtest compares with {backtest.against}; {in_force} is in force",
        )
    if backtest.accepted_count <= 0:
        return (f"the backtest saw no payment that {backtest.against} accepted",)
    return tuple(
        f"it would decline {points:.2f} of 100 accepted payments by {by}, more than "
        f"the {rules.gate_points:g} that the gate allows"
        for by, points in _points(backtest)
        if points > rules.gate_points
    )


def _points(backtest: Backtest) -> list[tuple[str, float]]:
    """What it would decline of 100 accepted, by count and by amount."""
    parts = [
        ("count", backtest.declined_count, backtest.accepted_count),
        ("amount", backtest.declined_amount_minor, backtest.accepted_amount_minor),
    ]
    return [(by, 100 * part / whole if whole else 0.0) for by, part, whole in parts]
