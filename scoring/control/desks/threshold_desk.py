"""Thresholds of the score by what outcomes cost, over a backtest's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from scoring.control.desks.backtest_desk import BacktestDesk
from scoring.control.domain.people import Person
from scoring.errors import NotPossible

Levels = tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class CheapestLevels:
    """One segment: its levels now, those that cost least, and what both cost.

    Levels are those of challenge, review and decline; None: never. Costs are in minor
    units of the reference currency, of payments whose outcome the score can change.
    `kept` says why levels stay as they are; "" where they were chosen. `costs` are by
    the level of decline, in equal steps up to 1, the other levels as chosen.
    """

    segment: str
    now: Levels
    chosen: Levels
    cost_now_minor: float
    cost_minor: float
    frauds: int
    kept: str
    costs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ChosenLevels:
    """The levels of every segment, and the version's text with them."""

    segments: tuple[CheapestLevels, ...]
    text: str
    currency: str


class LevelsByCost(Protocol):
    """Chooses the levels that cost least; pure, and blocks for its work."""

    def __call__(
        self, figures: Mapping[str, Any], text: str, costs: Mapping[str, Any]
    ) -> ChosenLevels:
        """By a backtest's figures and the text that it judged.

        Raises `BadArtifact`, and `InvalidTransaction` for the costs.
        """
        ...


@dataclass(frozen=True, slots=True)
class ThresholdDesk:
    """What people ask of thresholds; nothing is kept.

    `by_cost` is None where this process cannot work them out.
    """

    backtests: BacktestDesk
    by_cost: LevelsByCost | None = None

    def chosen(
        self, person: Person, number: int, costs: Mapping[str, Any]
    ) -> tuple[int | None, ChosenLevels]:
        """The judged version's number, None where it has none, and its levels.

        Raises `Denied`, `NotFound`, `NotPossible`, and what `LevelsByCost` raises.
        """
        told = self.backtests.told(person, number)
        if self.by_cost is None:
            raise NotPossible("ask a running control plane: this is none")
        if told.job is None:
            raise NotPossible(f"backtest {number} was brought: run one here")
        if told.job.new.rule:
            raise NotPossible(f"backtest {number} is of a rule: run one of a version")
        if told.figures is None:
            raise NotPossible(
                f"backtest {number} is {told.job.state}: it has no figures"
            )
        new = told.job.new
        return new.policy, self.by_cost(told.figures.figures, new.text, costs)
