"""Decisions as they fall: the newest ones, figures of the last minute, and a tick."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scoring.console.words import word_in
from scoring.core.decision.decision import Outcome
from scoring.kafka.tail import TailFilter
from scoring.v1 import decision_pb2 as decisions
from scoring.v1.decision_pb2 import Decision

ROWS_MAX = 2_000  # some 5 kB each
SHOWN_MAX = 50
WINDOW_S = 60
SCORE_PARTS = 20
_US_PER_MS = 1_000
OUTCOMES = tuple(each.name.lower() for each in Outcome if each)


@dataclass(slots=True)
class LiveRow:
    """A decision that came; `html` is its row once it was rendered, for all viewers."""

    sequence: int
    decision: Decision
    html: str = ""


@dataclass(slots=True)
class Second:
    """What came in one second."""

    at_s: int
    count: int = 0
    timed: int = 0
    within: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    degradations: Counter[str] = field(default_factory=Counter)
    scores: list[int] = field(default_factory=lambda: [0] * SCORE_PARTS)

    def add(self, decision: Decision, budget_us: int) -> None:
        """Count a decision."""
        core, stages = decision.core, decision.trace.stages
        self.count += 1
        self.outcomes[word_in(decisions.Outcome, core.outcome)] += 1
        if core.HasField("score") and 0 <= core.score <= 1:  # what is none is nowhere
            place = min(int(core.score * SCORE_PARTS), SCORE_PARTS - 1)
            self.scores[place] += 1
        if stages:
            self.timed += 1
            self.within += sum(stage.duration_us for stage in stages) <= budget_us
        for lack in core.degradations:
            self.degradations[word_in(decisions.DegradationCode, lack.code)] += 1


@dataclass(frozen=True, slots=True)
class Minute:
    """Figures of the last minute, or of less where we began to listen later.

    `within` is the share of decisions whose stages took no longer than `budget_ms`;
    None where none came.
    """

    count: int
    rate_per_s: float
    outcomes: Sequence[tuple[str, int, float]]
    degradations: Sequence[tuple[str, int]]
    scores: Sequence[int]
    within: float | None
    budget_ms: int
    over_s: int


class LiveFeed:
    """The newest decisions, for pages; `monotonic` is the clock, in seconds.

    `fault` says why none can come, "" while they can.
    """

    def __init__(self, monotonic: Callable[[], float], budget_ms: int) -> None:
        self._monotonic = monotonic
        self._budget_ms = budget_ms
        self._rows: deque[LiveRow] = deque(maxlen=ROWS_MAX)
        self._seconds: deque[Second] = deque(maxlen=WINDOW_S)
        self._began_s = monotonic()
        self._last_s: float | None = None
        self._tick = asyncio.Event()
        self.newest = 0
        self.figures_html = ""
        self.fault = "not connected yet"
        self.closed = False

    def add(self, decision: Decision) -> None:
        """Take a decision that came."""
        now_s = self._monotonic()
        self.newest += 1
        self._last_s = now_s
        self._rows.append(LiveRow(self.newest, decision))
        if not self._seconds or self._seconds[-1].at_s != int(now_s):
            self._seconds.append(Second(int(now_s)))
        self._seconds[-1].add(decision, self._budget_ms * _US_PER_MS)

    def since(self, sequence: int, wanted: TailFilter) -> list[LiveRow]:
        """What came after a sequence and is wanted, the newest first, at most 50."""
        found: list[LiveRow] = []
        # A copy: others may read while decisions come.
        for row in reversed(list(self._rows)):
            if row.sequence <= sequence or len(found) == SHOWN_MAX:
                break
            if wanted.has(row.decision):
                found.append(row)
        return found

    def named(self, tenant: str, transaction_id: str) -> Decision | None:
        """The newest decision of a transaction, as the topic has it."""
        for row in reversed(list(self._rows)):
            core = row.decision.core
            if (core.tenant, core.transaction_id) == (tenant, transaction_id):
                return row.decision
        return None

    def sharing(
        self, tenant: str, transaction_id: str, tokens: Mapping[str, str]
    ) -> dict[str, list[Decision]]:
        """Other payments with the same tokens, by their field, the newest first."""
        found: dict[str, list[Decision]] = {}
        for row in reversed(list(self._rows) if tokens else []):
            core, payment = row.decision.core, row.decision.transaction
            if core.tenant != tenant or core.transaction_id == transaction_id:
                continue
            for name, token in tokens.items():
                if getattr(payment, name) == token:
                    found.setdefault(name, []).append(row.decision)
        return found

    @property
    def age_s(self) -> float | None:
        """How long ago the newest came; None where none did."""
        return None if self._last_s is None else self._monotonic() - self._last_s

    def minute(self) -> Minute:
        """Figures of the last minute."""
        now_s = self._monotonic()
        kept = [each for each in list(self._seconds) if each.at_s > now_s - WINDOW_S]
        count = sum(each.count for each in kept)
        over_s = max(1, min(WINDOW_S, round(now_s - self._began_s)))
        outcomes = sum((each.outcomes for each in kept), Counter[str]())
        degradations = sum((each.degradations for each in kept), Counter[str]())
        timed = sum(each.timed for each in kept)
        within = sum(each.within for each in kept)
        return Minute(
            count=count,
            rate_per_s=count / over_s,
            outcomes=[
                (name, outcomes[name], outcomes[name] / count if count else 0.0)
                for name in OUTCOMES
            ],
            degradations=degradations.most_common(),
            scores=[
                sum(each.scores[part] for each in kept) for part in range(SCORE_PARTS)
            ],
            within=within / timed if timed else None,
            budget_ms=self._budget_ms,
            over_s=over_s,
        )

    def tick(self, figures_html: str) -> None:
        """Let every viewer have what came, with figures that were rendered once."""
        self.figures_html = figures_html
        told, self._tick = self._tick, asyncio.Event()
        told.set()

    def close(self) -> None:
        """Let every viewer go."""
        self.closed = True
        self._tick.set()

    async def ticked(self) -> None:
        """Wait for the next tick."""
        await self._tick.wait()
