"""The gate: what has to be shown, or said, before a version is approved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scoring.control.domain.approvals import Act
from scoring.control.domain.control_rules import DAY_MS, ControlRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """A backtest of one version against another, on the same eligible payments.

    `accepted_*` is what `against` accepted; `declined_*` what of that the version
    would decline, by count and amount (reference currency, minor units). `figures` is
    the whole report. Where it was `brought`, somebody ran it elsewhere, and nobody
    here can tell how.
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
    brought: bool = True

    @property
    def told(self) -> str:
        """Who worked the figures out."""
        return f"brought by {self.by}" if self.brought else "the control plane"

    @property
    def tenant(self) -> str:
        """The one tenant whose payments it judged; "" for every one."""
        return str(self.figures.get("span", {}).get("tenant") or "")

    @property
    def days(self) -> int:
        """How many whole days of payments it judged; 0 where it does not say."""
        span = self.figures.get("span", {})
        return int((span.get("until_ms", 0) - span.get("from_ms", 0)) // DAY_MS)


def asks_why(
    act: Act,
    version: str,
    backtest: Backtest | None,
    in_force: str,
    rules: ControlRules,
) -> tuple[str, ...]:
    """What the gate asks a written reason for; empty where it opens by itself.

    `in_force` is what decides now: the settings' version before the first release.
    A shadow declines nothing, and passes.
    """
    if act is Act.SHADOW:
        return ()
    if backtest is None or backtest.version != version:
        return (f"no backtest of {version} comes with the proposal",)
    if backtest.against == version:
        return (f"the backtest compares {version} with itself",)
    if backtest.against != in_force:
        return (
            f"the backtest compares with {backtest.against}; {in_force} is in force",
        )
    if backtest.accepted_count <= 0:
        return (f"the backtest saw no payment that {backtest.against} accepted",)
    return (*_weak(backtest, rules), *_declining(backtest, rules))


def _weak(backtest: Backtest, rules: ControlRules) -> tuple[str, ...]:
    """Why its figures say less than they seem to."""
    found = []
    if backtest.brought:
        told = "not run by the control plane"
        found.append(f"the backtest was brought by {backtest.by}, {told}")
    if backtest.tenant:
        found.append(f"the backtest is of tenant {backtest.tenant} alone")
    if backtest.days < rules.gate_days:
        found.append(
            f"the backtest is of {backtest.days} whole days, fewer than the "
            f"{rules.gate_days} that the gate asks for"
        )
    if backtest.accepted_count < rules.gate_payments:
        found.append(
            f"the backtest saw {backtest.accepted_count} payments that "
            f"{backtest.against} accepted, fewer than the {rules.gate_payments} that "
            "the gate asks for"
        )
    return tuple(found)


def best_of(backtests: Sequence[Backtest], in_force: str) -> Backtest | None:
    """The one that tells a gate most: against what is in force, of every tenant, run
    by the control plane, of most days; then the newest.

    `backtests` have the newest first.
    """
    return min(
        backtests,
        key=lambda one: (
            one.against != in_force,
            bool(one.tenant),
            one.brought,
            -one.days,
        ),
        default=None,
    )


def _declining(backtest: Backtest, rules: ControlRules) -> tuple[str, ...]:
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
