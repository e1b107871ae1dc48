"""Whether the reasons given are true of their own payments, and what that costs.

    make bench NAME=reasons [HANDBOOK=fdh_raw.parquet]

A model is trained on one simulated town and decides the payments of another, by the
shipped policy: each payment once with its history and, for one in ten, once more as if
the store had not answered. What is judged are model reasons. The judge shares no text
with reasons.yaml: for each code it knows what would make it untrue, and asks the
vector that the decision carries. With a table of the Fraud Detection Handbook the same
is done on its world. The cost is the deciding of one payment with its reasons, beside
the same with the reasons unasked.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from scoring.core.decision.decision import (
    DecisionCore,
    Degradation,
    DegradationCode,
    Outcome,
    ReasonSource,
)
from scoring.core.features.catalogue import (
    Catalogue,
    default_catalogue,
    handbook_catalogue,
)
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import Policy, load_policy
from scoring.core.policy.shipped_policy import shipped_text
from scoring.core.transaction.transaction import Transaction
from scoring.models.onnx_model import load_model
from scoring.ports.model import Scores
from scoring.replay.learn import labelled_transactions_of
from scoring.tables.mapping import shipped_mapping
from scoring.tables.table import Table as Payments
from scoring.training.build import train_on
from scoring.training.dataset import DAY_MS, Dataset
from scoring.training.simulation.simulate import simulate
from scoring.training.train import DEMO_RECIPE, DEMO_WORLD, dataset_of

DEGRADED_EVERY, TIMED, ROUNDS = 10, 2_000, 7
MISSING = Degradation(DegradationCode.HISTORY_UNAVAILABLE, "store")
Values = dict[str, float]


def above(values: Values, *limits: tuple[str, float]) -> bool:
    """Whether one is known to reach its limit."""
    return any(values.get(name, np.nan) >= limit for name, limit in limits)


def known(values: Values, name: str) -> bool:
    return not np.isnan(values.get(name, np.nan))


# What each code claims, from its wording alone: a claim that does not hold is untrue.
CLAIMS: dict[str, Callable[[Values], bool]] = {
    "AMOUNT_UNUSUAL": lambda v: (
        above(v, ("customer_ratio", 2.5), ("customer_zscore", 2))
        or above(v, ("merchant_ratio_30d", 2.5), ("customer_ratio_30d", 2.5))
        or v["amount"] >= 2.5 * v.get("customer_mean_30d", np.nan)
        or v.get("customer_ratio", np.nan) <= 0.1
        or v.get("merchant_ratio_30d", np.nan) <= 0.1
    ),
    "TIME_UNUSUAL": lambda v: above(v, ("is_night", 1)),
    "CHANNEL_RISK": lambda v: above(v, ("is_ecommerce", 1), ("is_manual_entry", 1)),
    "COUNTRY_MISMATCH": lambda v: above(
        v, ("is_cross_border", 1), ("is_ip_abroad", 1)
    ),
    "PAYMENT_RETRY": lambda v: above(v, ("is_retry", 1)),
    "CARD_VELOCITY": lambda v: (
        above(v, ("card_count_1h", 4), ("card_count_1d", 4))
        # Or for much: a day that makes half of the month.
        or 2 * v["card_sum_1d"] >= v["card_sum_30d"]
    ),
    "CARD_TESTING": lambda v: above(
        v, ("card_merchants_1h", 4), ("card_merchants_1d", 7)
    ),
    "NEW_MERCHANT": lambda v: above(v, ("card_new_merchant", 1)),
    "NEW_CARD": lambda v: known(v, "card_age") and v["card_age"] <= DAY_MS / 1_000,
    "IMPOSSIBLE_TRAVEL": lambda v: above(v, ("card_speed", 950)),
    "CUSTOMER_VELOCITY": lambda v: above(
        v, ("customer_count_1d", 4), ("customer_cards_7d", 4)
    ),
    "NEW_DEVICE": lambda v: (
        above(v, ("customer_new_device", 1)) or v.get("device_age", np.nan) <= 86_400
    ),
    "TERMINAL_VELOCITY": lambda v: above(
        v, ("terminal_count_1h", 5), ("terminal_count_1d", 10)
    ),
    "TERMINAL_RISK": lambda v: (
        above(v, *((f"terminal_fraud_rate_{w}", 0.0101) for w in ("1d", "7d", "30d")))
        or above(v, ("terminal_fraud_streak", 1))
        or known(v, "terminal_since_fraud")
    ),
    "MERCHANT_VELOCITY": lambda v: above(v, ("merchant_count_1h", 10)),
    "MERCHANT_RISK": lambda v: above(v, ("merchant_fraud_rate_30d", 0.0101)),
    "DEVICE_VELOCITY": lambda v: above(
        v, ("device_count_1h", 4), ("device_count_1d", 8), ("device_cards_7d", 3),
        ("device_customers_30d", 4),
    ),
}  # fmt: skip


@dataclass(slots=True)
class Judged:
    """What was found in one world."""

    decisions: int = 0
    declines: int = 0
    specific: int = 0  # declines with a reason of the model that claims something
    contradicted: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    def judge(self, core: DecisionCore, names: Sequence[str]) -> None:
        """Count a decision, and its reasons that its own vector contradicts."""
        self.decisions += 1
        vector = np.frombuffer(core.features, dtype="<f4")
        values = dict(zip(names, vector.tolist(), strict=True))
        ours = [r.code for r in core.reasons if r.source is ReasonSource.MODEL]
        claimed = [code for code in ours if code in CLAIMS]
        self.contradicted.update(c for c in claimed if not CLAIMS[c](values))
        if core.outcome is Outcome.DECLINE:
            self.declines += 1
            self.specific += bool(claimed)
            self.codes.update(ours)


@dataclass(slots=True)
class World:
    """A trained model, and rows that it did not see."""

    catalogue: Catalogue
    policy: Policy
    groups: tuple[str, ...]
    predict: Callable[[NDArray[np.float32]], Scores]
    rows: NDArray[np.float32]

    def evidence(
        self, matrix: NDArray[np.float32], *missing: Degradation
    ) -> list[Evidence]:
        """What the model says of some rows, as decisions rest on it."""
        scores = self.predict(matrix)
        return [
            Evidence(
                vector=vector, margin=float(margin), probability=float(probability),
                contributions=parts, reason_groups=self.groups, degradations=missing,
            )
            for vector, margin, probability, parts in zip(
                matrix, scores.margin, scores.probability, scores.contributions,
                strict=True,
            )
        ]  # fmt: skip

    def decided(self, evidence: list[Evidence]) -> list[DecisionCore]:
        """One decision for each, of the same payment."""
        paid = Transaction("default", "t", amount_minor=10_000, currency="EUR")
        return [
            decide(paid, b"h" * 32, policy=self.policy, evidence=e) for e in evidence
        ]


def world(learned: Dataset, met: Dataset, catalogue: Catalogue) -> World:
    policy = load_policy(shipped_text(catalogue), catalogue=catalogue, name="policy")
    with tempfile.TemporaryDirectory() as out:
        train_on(learned, Path(out), catalogue=catalogue, recipe=DEMO_RECIPE)
        model = load_model(Path(out), catalogue=catalogue)
    return World(catalogue, policy, model.reason_groups, model.predict, met.matrix)


def demo_world() -> World:
    catalogue = default_catalogue()
    delay = DEMO_RECIPE.label_delay_ms
    learned = dataset_of(simulate(DEMO_WORLD), catalogue, label_delay_ms=delay)
    other = simulate(replace(DEMO_WORLD, seed=77))
    return world(learned, dataset_of(other, catalogue, label_delay_ms=delay), catalogue)


def handbook_world(path: Path) -> World:
    catalogue = handbook_catalogue()
    table = labelled_transactions_of(Payments(path, shipped_mapping("handbook")))
    day = (table["occurred_at_ms"].to_numpy() // DAY_MS).astype(int)
    near = table.filter(day < day.min() + 60)
    whole = dataset_of(near, catalogue, label_delay_ms=7 * DAY_MS)
    split = int(whole.occurred_at_ms.min()) + 45 * DAY_MS
    before, after = (
        _part(whole, mask)
        for mask in (whole.occurred_at_ms < split, whole.occurred_at_ms >= split)
    )
    return world(before, after, catalogue)


def _part(dataset: Dataset, mask: NDArray[np.bool_]) -> Dataset:
    columns = {
        name: getattr(dataset, name)[mask]
        for name in ("matrix", "fraud", "occurred_at_ms", "customers", "amount_minor")
    }
    return replace(dataset, **columns, segments=None)


def judged(here: World) -> Judged:
    found = Judged()
    stateless = {n for n, f in here.catalogue.features.items() if not f.slots}
    history = [i for i, n in enumerate(here.catalogue.names) if n not in stateless]
    blind = here.rows[::DEGRADED_EVERY].copy()
    blind[:, history] = np.nan
    for matrix, missing in ((here.rows, ()), (blind, (MISSING,))):
        for core in here.decided(here.evidence(matrix, *missing)):
            found.judge(core, here.catalogue.names)
    return found


def us_per_decision(here: World) -> tuple[float, float]:
    """CPU of a decision with its reasons, and with none to give; best of the rounds."""
    asked = here.evidence(here.rows[:TIMED])
    unasked = [replace(e, contributions=None) for e in asked]
    best = [np.inf, np.inf]
    for _ in range(ROUNDS):
        for i, evidence in enumerate((asked, unasked)):
            start = process_time()
            here.decided(evidence)
            best[i] = min(best[i], (process_time() - start) / TIMED * 1e6)
    return best[0], best[1]


def main() -> None:
    worlds = {"the demo's town": demo_world()}
    if path := os.environ.get("HANDBOOK"):
        worlds["the Handbook's"] = handbook_world(Path(path))
    console = Console()
    total = Judged()
    for name, here in worlds.items():
        found = judged(here)
        table = Table(title=f"{name}: reasons of {found.declines} declines")
        for column in ("code", "given", "contradicted"):
            table.add_column(column)
        for code, count in found.codes.most_common():
            table.add_row(code, str(count), str(found.contradicted[code]))
        console.print(table)
        total.decisions += found.decisions
        total.declines += found.declines
        total.specific += found.specific
        total.contradicted += found.contradicted
    with_reasons, without = us_per_decision(worlds["the demo's town"])
    figures = {
        "decisions": total.decisions,
        "declines": total.declines,
        "contradicted": sum(total.contradicted.values()),
        "specific_share": round(total.specific / max(total.declines, 1), 4),
        "us_per_tx": round(with_reasons - without, 2),
        "decide_us": round(with_reasons, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
