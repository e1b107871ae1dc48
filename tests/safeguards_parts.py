"""A replica with its breaker and its let-through budget, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from small_policy import LARGE

from scoring.core.decision.decision import ComputeTarget, Door
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.pipeline.scorer import Scorer
from scoring.ports.check import Check
from scoring.ports.events import Event
from scoring.ports.model import Scores

CATALOGUE = default_catalogue()
NOW_MS = 1_700_000_000_000
SAMPLE = (
    "let_through: {share: 0.5, amount_minor_max: 2000, budget_minor_per_day: 20000}\n"
)


def policy(text: str = LARGE):
    return load_policy(text, catalogue=CATALOGUE, name="p")


class Quiet:
    """A model that finds nothing."""

    version = "quiet"
    reason_groups = ()
    deeper = None

    def predict(self, matrix):
        n = len(matrix)
        zeros = np.zeros(n, np.float64)
        return Scores(
            margin=zeros - 5,
            probability=zeros + 0.01,
            contributions=np.zeros((n, 0), np.float32),
            target=ComputeTarget.ENSEMBLE,
        )


@dataclass
class Counting:
    """Telemetry that remembers what was counted."""

    events: list[Event] = field(default_factory=list)

    def count(self, event, n=1):
        self.events += [event] * n

    def __getattr__(self, name):
        return lambda *_, **__: None


@dataclass
class Replica:
    scorer: Scorer
    telemetry: Counting
    now_ms: int = NOW_MS

    async def pays(self, n, *, amount=5_000, at_ms=NOW_MS, prefix="t", **fields):
        fields = {"amount_minor": amount, "currency": "EUR", "card": "c1"} | fields
        payments = [
            Transaction("shop", f"{prefix}{i}", occurred_at_ms=at_ms, **fields)
            for i in range(n)
        ]
        return await self.scorer.score_many([check_of(t) for t in payments])


def check_of(t: Transaction, **more) -> Check:
    return Check(transaction=t, payload_hash=payload_hash(t), received_at_ms=NOW_MS,
                 door=Door.GRPC, **more)  # fmt: skip


def outcomes(answers):
    return [answer.outcome for answer in answers]


async def exchanged(*replicas: Replica) -> None:
    for one in replicas:
        await one.scorer.breaker.exchange()
