"""Backtests of versions that a control plane has: judged here, kept with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from scoring.backtest.result import BacktestResult, plain
from scoring.control.domain.gate import Backtest
from scoring.control.domain.people import By, Person
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.reasons import load_reasons
from scoring.wiring.definitions import policy_from

if TYPE_CHECKING:
    from scoring.control.api.plane import Plane
    from scoring.control.database.unit_of_work import UnitOfWork
    from scoring.core.features.catalogue import Catalogue
    from scoring.settings import Settings

Judging = Callable[[Policy, Policy], BacktestResult]


def kept_backtest(
    plane: Plane, number: int, catalogue: Catalogue, settings: Settings, judge: Judging
) -> BacktestResult:
    """Judge a version against the one in force, and keep the figures for its gate.

    Before the first release the settings' version is in force. `judge` takes the new
    version and the old one. A proposal carries the newest backtest of its exact hash,
    so that this comes before it is made.
    """
    person = plane.person or Person("shell", frozenset())
    with plane.policies.read(person) as work:
        new = _version(work, number, catalogue)
        release = work.policies.in_force()
        in_force = release.arrangement.policy if release else None
        old = (
            policy_from(settings, catalogue)
            if in_force is None
            else _version(work, in_force, catalogue)
        )
    found = judge(new, old)
    plane.policies.keep_backtest(By(person), backtest_for_gate(found))
    return found


def backtest_for_gate(found: BacktestResult) -> Backtest:
    """The figures as the gate reads them; who and when are set where they are kept."""
    return Backtest(
        number=0,
        version=found.new.version,
        against=found.old.version,
        accepted_count=found.accepted.count,
        accepted_amount_minor=found.accepted.reference_minor,
        declined_count=found.newly_declined.count,
        declined_amount_minor=found.newly_declined.reference_minor,
        by="",
        at_ms=0,
        figures=plain(found),
    )


def _version(work: UnitOfWork, number: int, catalogue: Catalogue) -> Policy:
    checked = work.policies.policy(number).checked
    reasons = None
    if checked.reasons is not None:
        reasons = load_reasons(checked.reasons, catalogue=catalogue, name="reasons")
    name = f"version {number}"
    return load_policy(checked.text, catalogue=catalogue, name=name, reasons=reasons)
