"""How long 100,000 chargebacks by transaction id alone take through each door.

    make bench NAME=labels

The payments are recorded, some hundred of each merchant, terminal, card and customer,
and each label has to find its own. `append` is a file of labels appended at once;
`report` the same labels by ReportLabels, 1,000 a call, which the worker then applies.
Seconds are until the worker has committed them all; microseconds are processor time of
the worker, and of the store. The yardstick is the least that any store could do for a
label: a GET of its record and a SET of 64 bytes, 1,000 at once. The last line is JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from redis.asyncio import Redis

from benchmarks.stream import cpu_s

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from served import serving
from small_model import noise_bundle
from stream_parts import (
    NOW_MS,
    Input,
    Worker,
    committed,
    create_topics,
    send,
    transaction,
)

from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import payload_hash
from scoring.embedded.broker import FETCH_WAIT_MS, embedded_broker
from scoring.embedded.store import embedded_store
from scoring.ports.records import Recording
from scoring.stores.redis.address import StoreAddress
from scoring.stores.redis.store import RedisStore
from scoring.v1 import fraud_scoring_pb2, fraud_scoring_pb2_grpc
from scoring.v1.decision_pb2 import Decision, DecisionCore
from scoring.v1.transaction_pb2 import Label, Verdict
from scoring.wire import transaction_from_proto

COUNT = 100_000
CALL = 1_000
DAY_MS = 86_400_000


@dataclass(slots=True)
class Place:
    """Where everything runs."""

    store: str
    bootstrap: str
    model: Path
    scratch: Path

    def settings(self, prefix: str) -> dict[str, Any]:
        """The settings of processes with topics and a namespace of their own."""
        return {
            "redis_url": self.store,
            "kafka_bootstrap": self.bootstrap,
            "topic_prefix": prefix,
            "namespace": prefix.strip("."),
            "model_dir": self.model,
            "state_dir": self.scratch,
            "fetch_wait_ms": FETCH_WAIT_MS,
        }


def label(i: int) -> Label:
    return Label(
        transaction_id=f"t{i}",
        version=1,
        verdict=Verdict.VERDICT_FRAUD,
        known_at=Timestamp(seconds=NOW_MS // 1_000),
    )


async def record(place: Place, namespace: str, count: int) -> None:
    """What a door had recorded of each payment, and of no label yet."""
    store = await RedisStore.connect(
        StoreAddress(place.store),
        catalogue=default_catalogue(),
        namespace=namespace,
        lateness_ms=DAY_MS,
        dedupe_ms=8 * DAY_MS,
    )
    core = DecisionCore(tenant="default", features=[0.5] * 90, score=0.1)
    decision = Decision(core=core).SerializeToString()
    for start in range(0, count, CALL):
        payments = [
            # In no order of time, as chargebacks come.
            transaction(f"t{i}", at_ms=NOW_MS - 10 * DAY_MS - i * 7_919 % count)
            for i in range(start, min(start + CALL, count))
        ]
        made = [transaction_from_proto(payment) for payment in payments]
        await store.record(
            [
                Recording(
                    tenant=t.tenant,
                    transaction_id=t.id,
                    payload_hash=payload_hash(t),
                    decision=decision,
                    transaction=t,
                    outcome=1,
                )
                for t in made
            ],
            timeout_s=60,
        )
    await store.close()


async def store_cpu_s(redis: Redis) -> float:
    told = await redis.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


@asynccontextmanager
async def worker(place: Place, prefix: str, count: int) -> AsyncIterator[Worker]:
    """A worker that is at work on fresh topics, beside what was recorded."""
    await create_topics(place.bootstrap, prefix)
    await record(place, prefix.strip("."), count)
    settings = {
        f"SCORING_{k.upper()}": str(v) for k, v in place.settings(prefix).items()
    }
    process = Worker(settings, place.scratch / f"{prefix}log").start()
    try:
        yield await process.ready()
    finally:
        process.stop()


async def append(place: Place, prefix: str, count: int) -> dict[str, float]:
    labels = [
        Input(label(i).SerializeToString(), f"k{i}".encode()) for i in range(count)
    ]
    began = time.monotonic()
    await send(place.bootstrap, f"{prefix}labels", labels)
    return {"began": began}


async def report(place: Place, prefix: str, count: int) -> dict[str, float]:
    calls_s = []
    first = 0.0
    with serving(**place.settings(prefix)) as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            stub = fraud_scoring_pb2_grpc.FraudScoringStub(channel)
            for start in range(0, count, CALL):
                labels = [label(i) for i in range(start, min(start + CALL, count))]
                began = time.monotonic()
                first = first or began
                told = await stub.ReportLabels(
                    fraud_scoring_pb2.ReportLabelsRequest(labels=labels), timeout=10
                )
                calls_s.append(time.monotonic() - began)
                refused = [r.error for r in told.results if r.HasField("error")]
                assert not refused, refused[0]
    return {
        "began": first,
        "call_p50_ms": round(1_000 * median(calls_s)),
        "call_max_ms": round(1_000 * max(calls_s)),
    }


async def through(place: Place, how: Any, count: int) -> dict[str, float]:
    """Take all labels through one door, until the worker has committed them."""
    prefix = f"{how.__name__}."
    async with (
        Redis.from_url(place.store) as redis,
        worker(place, prefix, count) as process,
    ):
        assert process.process
        pid = process.process.pid
        ours, theirs = cpu_s(pid), await store_cpu_s(redis)
        told = await how(place, prefix, count)
        while await committed(place.bootstrap, prefix, topic="labels") < count:  # noqa: ASYNC110
            await asyncio.sleep(0.25)
        seconds = time.monotonic() - told.pop("began")
        verdicts = f"{prefix.strip('.')}:v:*"
        kept = [k async for k in redis.scan_iter(verdicts, count=10_000)]
        assert len(set(kept)) == count, f"{len(set(kept))} labels were applied"
        return told | {
            "seconds": round(seconds, 1),
            "worker_us": round(1e6 * (cpu_s(pid) - ours) / count, 1),
            "store_us": round(1e6 * (await store_cpu_s(redis) - theirs) / count, 1),
        }


async def least(place: Place, count: int) -> dict[str, float]:
    """The yardstick: read each record, and write 64 bytes."""
    async with Redis.from_url(place.store) as redis:
        keys = [k async for k in redis.scan_iter("append:d:*", count=10_000)][:count]
        assert keys, "nothing was recorded"
        theirs, began = await store_cpu_s(redis), time.monotonic()
        for start in range(0, len(keys), CALL):
            pipe = redis.pipeline(transaction=False)
            for key in keys[start : start + CALL]:
                pipe.get(key)
                pipe.set(b"least:" + key, b"x" * 64)
            await pipe.execute()
        used = await store_cpu_s(redis) - theirs
        return {
            "seconds": round((time.monotonic() - began) * count / len(keys), 1),
            "store_us": round(1e6 * used / len(keys), 1),
        }


async def measured(count: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as scratch,
        embedded_broker() as bootstrap,
        embedded_store() as store,
    ):
        directory = Path(scratch)
        place = Place(store, bootstrap, noise_bundle(directory / "model"), directory)
        found: dict[str, Any] = {"labels": count}
        for how in (append, report):
            found[how.__name__] = await through(place, how, count)
            print(how.__name__, found[how.__name__], flush=True)
        found["least"] = await least(place, count)
        return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    print(json.dumps(asyncio.run(measured(count))))


if __name__ == "__main__":
    main()
