"""How fast is an empty store filled from the archive? Redis's own CPU counts.

    make bench NAME=history

An archive of 200,000 decided payments of 90 days, five entities each, none busier than
what the store keeps exactly; a twelfth of the decisions still answers repeats.
`rebuild_tx_per_s` is transactions per CPU second of this process and of the store
together: one core's worth. The last line is JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from redis import Redis

from scoring.core.features.catalogue import (
    Catalogue,
    default_catalogue,
    handbook_catalogue,
)
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.embedded.store import embedded_store
from scoring.history.archive import Archive
from scoring.history.rebuild import Milestones, Rebuild
from scoring.history.rows import TRANSACTION_FIELDS, Row
from scoring.stores.redis.bulk_load import RedisHistory
from scoring.stores.redis.script_compiler import Terms
from scoring.v1.decision_pb2 import Decision, DecisionCore

COUNT = 200_000
DAY_MS = 86_400_000
DAYS = 90
TERMS = Terms(lateness_ms=DAY_MS, dedupe_ms=8 * DAY_MS)
# As large as one with 70 features and its reasons.
DECISION = Decision(core=DecisionCore(features=[0.5] * 190)).SerializeToString()
POPULATION = {
    "card": 20_000,
    "customer": 15_000,
    "merchant": 4_000,
    "terminal": 6_000,
    "device": 15_000,
}


def rows(count: int, now_ms: int) -> list[Row]:
    rnd = random.Random(1)
    start_ms = now_ms - DAYS * DAY_MS
    made = []
    for i in range(count):
        at_ms = start_ms + i * DAYS * DAY_MS // count
        named = {
            field: f"{field}-{rnd.randrange(n)}" for field, n in POPULATION.items()
        }
        t = Transaction(
            "default",
            f"t{i}",
            occurred_at_ms=at_ms,
            amount_minor=rnd.randrange(100, 20_000),
            currency="EUR",
            channel=2,
            latitude=48.0 + rnd.random(),
            longitude=2.0 + rnd.random(),
            **named,
        )
        made.append(
            {name: getattr(t, name) for name in TRANSACTION_FIELDS}
            | {
                "payload_hash": payload_hash(t),
                "received_at_ms": at_ms,
                "decided_at_ms": at_ms,
                "processed_seq": i + 1,
                "door": "kafka",
                "outcome": "approve",
                "provisional": False,
                "degradations": [],
                "inexact_features": [],
                "features_version": "",
                "features": [0.0] * 70,
                "decision": DECISION,
                "log_partition": 0,
                "log_offset": i,
            }
        )
    return made


async def rebuilt(url: str, archive: Archive, catalogue: Catalogue) -> dict[str, float]:
    async def nothing() -> None:
        """The archive is whole already."""

    name = f"bench-{catalogue.name}"
    with Redis.from_url(url) as redis:
        before, started = _cpu_s(redis), time.process_time()
        async with RedisHistory.open(
            url, catalogue=catalogue, namespace=name, terms=TERMS
        ) as store:
            done = await Rebuild(
                store=store,
                archive=archive,
                catalogue=catalogue,
                lateness_ms=TERMS.lateness_ms,
                dedupe_ms=TERMS.dedupe_ms,
                now_ms=lambda: time.time_ns() // 1_000_000,
                take=nothing,
                milestones=Milestones(archive.directory / f"{name}.json", name),
            ).run()
        ours, theirs = time.process_time() - started, _cpu_s(redis) - before
    print(f"{catalogue.name}: {done}")
    return {
        "rebuild_tx_per_s": round(done.transactions / (ours + theirs)),
        "our_us_per_tx": round(1e6 * ours / done.transactions, 1),
        "server_us_per_tx": round(1e6 * theirs / done.transactions, 1),
    }


def _cpu_s(redis: Redis) -> float:
    told = redis.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])  # type: ignore[index]


def measured(count: int, catalogues: list[Catalogue]) -> dict[str, dict[str, float]]:
    """The cost of filling an empty store by each catalogue, from one archive."""
    with tempfile.TemporaryDirectory() as scratch, embedded_store() as url:
        archive = Archive(Path(scratch) / "archive")
        archive.prepare()
        made = rows(count, time.time_ns() // 1_000_000)
        archive.take("decisions", 0, made, (0, count))
        del made
        return {
            catalogue.name: asyncio.run(rebuilt(url, archive, catalogue))
            for catalogue in catalogues
        }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    found = measured(count, [default_catalogue(), handbook_catalogue()])
    print(json.dumps({"transactions": count, **found}))


if __name__ == "__main__":
    main()
