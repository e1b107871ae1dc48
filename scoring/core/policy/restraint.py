"""A policy as it acts while the breaker holds some of it back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from math import inf
from typing import TypeVar

from scoring.core.decision.decision import Outcome, RuleMode
from scoring.core.policy.breaker import WHOLE
from scoring.core.policy.let_through import LIST_PREFIX
from scoring.core.policy.policy import Cuts, Measure, Policy
from scoring.core.policy.ruling import ClauseAsk, rulings
from scoring.core.policy.segments import Choice

T = TypeVar("T")


def restrained(policy: Policy, tripped: Collection[str]) -> Policy:
    """The same version, with these rules held back; `WHOLE` holds back every decline.

    A rule becomes shadow, or asks for review where its policy says so. Held back as a
    whole, what the policy would decline is reviewed, but for what lists ask for.
    """
    held = [name for name in policy.guards if name in tripped]
    if not held:
        return policy
    asks = tuple(
        _held(ask, policy.guards[ask.name].then) if ask.name in held else ask
        for ask in policy.asks
    )
    if WHOLE not in held:
        return replace(policy, asks=asks, ruling=rulings(asks))
    asks = tuple(map(_reviewing, asks))
    measures = {
        code: _each(choice, _milder) for code, choice in policy.measures.items()
    }
    return replace(
        policy,
        asks=asks,
        ruling=rulings(asks),
        cuts=_each(policy.cuts, _without_decline),
        measures=measures,
        default=_milder(policy.default),
    )


def _held(ask: ClauseAsk, then: str) -> ClauseAsk:
    return _reviewing(ask) if then == "review" else replace(ask, mode=RuleMode.SHADOW)


def _reviewing(ask: ClauseAsk) -> ClauseAsk:
    """The clause asking for no more than a review; a list asks for what it does."""
    if ask.name.startswith(LIST_PREFIX):
        return ask
    return replace(
        ask,
        outcome=min(ask.outcome, Outcome.REVIEW),
        on_missing=min(ask.on_missing, Outcome.REVIEW),
    )


def _milder(measure: Measure) -> Measure:
    return replace(measure, outcome=min(measure.outcome, Outcome.REVIEW))


def _without_decline(cuts: Cuts) -> Cuts:
    challenge, review, decline = cuts
    return challenge, min(review, decline), inf


def _each(choice: Choice[T], change: Callable[[T], T]) -> Choice[T]:
    """The same choice of changed values."""
    cases = tuple((matches, change(value)) for matches, value in choice.cases)
    return replace(choice, default=change(choice.default), cases=cases)
