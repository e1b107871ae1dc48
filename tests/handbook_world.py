"""The Handbook's world decided by a policy, with the breaker at work in event time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xgboost

from scoring.core.decision.decision import DecisionCore, Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.breaker import BUCKET_MS
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import Policy
from scoring.core.transaction.transaction import Transaction
from scoring.pipeline.answer import Decided
from scoring.pipeline.safeguards.decline_breaker import DeclineBreaker
from scoring.replay.learn import labelled_transactions_of
from scoring.stores.memory.tallies import MemoryTallies
from scoring.tables.mapping import shipped_mapping
from scoring.tables.table import Table
from scoring.training.offline.engine import OfflineInput, offline_features
from scoring.training.sql import connect

CATALOGUE = default_catalogue()
DAY_MS = 86_400_000
LABEL_DELAY_MS = 7 * DAY_MS
_BEFORE_MS = 6 * 3_600_000
FINAL = Decided(b"", Outcome.APPROVE, first=True)


@dataclass(frozen=True)
class HandbookWorld:
    """Payments in event order, each with its features and a calibrated score."""

    payments: list[Transaction]
    vectors: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(
        cls, table: Path, scratch: Path, *, first_day: int, days: int, warm_days: int
    ) -> HandbookWorld:
        """So many days of the table, from one on; features know the days before."""
        raw = pq.read_table(table)
        day = raw["TX_TIME_DAYS"]
        kept = pc.and_(
            pc.greater_equal(day, first_day - warm_days), pc.less(day, first_day + days)
        )
        pq.write_table(raw.filter(kept), scratch / "world.parquet")
        rows = labelled_transactions_of(
            Table(scratch / "world.parquet", shipped_mapping("handbook"))
        )
        with connect() as con:
            found = _features(con, rows)
        told = {row["id"]: row for row in rows.to_pylist()}
        begins = int(found.occurred_at_ms.min()) // DAY_MS * DAY_MS
        begins += warm_days * DAY_MS
        kept = np.flatnonzero(found.occurred_at_ms >= begins)
        payments = [_payment(told[found.ids[i]]) for i in kept]
        vectors = found.matrix[kept]
        labels = np.array([bool(told[found.ids[i]]["fraud"]) for i in kept])
        return cls(payments, vectors, _scores(vectors, labels))

    def decided(
        self, policy: Policy, places: range | None = None
    ) -> list[DecisionCore]:
        """What a policy decides, of all or some."""
        return [self.core(policy, i) for i in places or range(len(self.payments))]

    def core(self, policy: Policy, place: int) -> DecisionCore:
        """What a policy decides of one payment."""
        evidence = Evidence(
            vector=self.vectors[place], probability=float(self.scores[place])
        )
        return decide(self.payments[place], b"h", policy=policy, evidence=evidence)


def _payment(row: dict) -> Transaction:
    return Transaction(
        "shop",
        row["id"],
        occurred_at_ms=row["occurred_at_ms"],
        amount_minor=row["amount_minor"],
        currency="EUR",
        card=row["card"],
    )


def _features(con: duckdb.DuckDBPyConnection, rows):
    con.register("told", rows)
    con.execute(
        "CREATE VIEW labels AS SELECT tenant, id AS transaction_id, 1::BIGINT AS "  # noqa: S608 - a number
        f"version, fraud, occurred_at_ms + {LABEL_DELAY_MS} AS known_at_ms FROM told"
    )
    return offline_features(con, CATALOGUE, OfflineInput("told", "labels"))


def _scores(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Calibrated by fitting these very rows: a breaker sees shares alone."""
    data = xgboost.DMatrix(vectors, labels)
    terms = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.3, "nthread": 1}
    scores: np.ndarray = xgboost.train(terms, data, num_boost_round=30).predict(data)
    return scores


@dataclass
class Watch:
    """The breaker of a process, with the clock at the newest payment."""

    in_force: InForce
    now_ms: int = 0
    breaker: DeclineBreaker = field(init=False)

    def __post_init__(self) -> None:
        self.breaker = DeclineBreaker(
            tallies=MemoryTallies(),
            telemetry=SimpleNamespace(count=lambda *_: None),
            now_ms=lambda: self.now_ms,
            in_force=lambda: self.in_force,
            held=self._hold,
        )

    def _hold(self, tripped: frozenset[str]) -> None:
        self.in_force = replace(self.in_force, tripped=tripped)

    async def took(self, bucket: int, decided: list[tuple[Policy, int, DecisionCore]]):
        """Count what was decided in a bucket of event time, and exchange."""
        self.now_ms = (bucket + 1) * BUCKET_MS - 1
        policies, times, cores = zip(*decided, strict=True)
        checks = [
            SimpleNamespace(
                dry_run=False, transaction=SimpleNamespace(occurred_at_ms=at)
            )
            for at in times
        ]
        self.breaker.count(policies, checks, cores, [FINAL] * len(cores))
        await self.breaker.exchange()


def in_buckets(times: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The places of payments by bucket of event time, in order of time."""
    order = np.argsort(times, kind="stable")
    buckets = times[order] // BUCKET_MS
    starts = np.flatnonzero(np.r_[True, buckets[1:] != buckets[:-1]])
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield int(buckets[start]), order[start:end]


async def watched(
    world: HandbookWorld, policy: Policy, *, copies: int = 1
) -> tuple[Watch, int]:
    """A policy through the whole world, `copies` of it: each some days later.

    So many times as many payments, at the same hours, and none of them twice on a day.
    """
    cores = world.decided(policy)
    times = np.array([payment.occurred_at_ms for payment in world.payments])
    begins = times.min() // DAY_MS * DAY_MS
    span = times.max() // DAY_MS * DAY_MS + DAY_MS - begins
    shifted = [
        begins + (times - begins + copy * (span // copies // DAY_MS) * DAY_MS) % span
        for copy in range(copies)
    ]
    every = np.concatenate(shifted)
    watch = Watch(InForce(policy))
    await watch.breaker.exchange()
    for bucket, places in in_buckets(every):
        await watch.took(
            bucket,
            [(policy, int(every[i]), cores[i % len(cores)]) for i in places],
        )
    return watch, len(every)


async def planted(
    world: HandbookWorld,
    before: Policy,
    after: Policy,
    at_ms: int,
) -> tuple[int, int]:
    """How many payments, and for how long (ms), a planted rule declined.

    `before` decides until `at_ms`, then `after`; a bucket is decided by what was held
    back when it began. Looked at are the six hours before, and what follows.
    """
    watch = Watch(InForce(before))
    await watch.breaker.exchange()
    times = np.array([payment.occurred_at_ms for payment in world.payments])
    declined, last_ms = 0, at_ms
    for bucket, places in in_buckets(times):
        if bucket * BUCKET_MS < at_ms - _BEFORE_MS:
            continue
        if bucket * BUCKET_MS >= at_ms and watch.in_force.policy is before:
            watch.in_force = replace(watch.in_force, policy=after)
        decided = []
        for i in places:
            acting = watch.in_force.of(world.payments[i])
            core = world.core(acting, i)
            decided.append((watch.in_force.policy, int(times[i]), core))
            if acting is not before and core.outcome is Outcome.DECLINE:
                declined, last_ms = declined + 1, int(times[i])
        await watch.took(bucket, decided)
        if "planted" in {trip.rule for trip in watch.breaker.holding}:
            break
    return declined, last_ms - at_ms
