"""How long the event loop stalls where another policy or list comes into force.

`make bench NAME=swap`. `scoring serve` follows a broker's topic and answers checks, and
a ticker of one millisecond on its loop notes how late each tick comes. A figure is
the latest tick of a second (of a base: BASE_S) from the record on; beside it, quiet,
the same of as long before it. Policies of 10, 50 and 200 rules, one entry of a list,
and a new base of BENCH_ENTRIES entries, in interleaved rounds.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from release_parts import Outbox, Record
from stream_parts import create_topics

from benchmarks.grpc_drive import SERVICE, shown
from benchmarks.policy import rules
from benchmarks.stream import trained
from benchmarks.swap_serve import TICK
from load_tests.light_channel import LightChannel
from load_tests.open_loop import percentile
from load_tests.traffic import Traffic
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.core.release.keys import key_of_change, key_of_chunk, key_of_list
from scoring.core.release.list_release import (
    FOREVER_MS,
    ListBase,
    ListChange,
    ListEntry,
    chunk_id,
)
from scoring.core.release.policy_release import POLICY_KEY, PolicyRelease, PolicyText
from scoring.embedded.broker import FETCH_WAIT_MS, embedded_broker
from scoring.lists.base import ROW
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.decision_pb2 import Versions
from scoring.wire.control_json import release_to_json, text_to_json
from scoring.wire.list_records import list_base_to_json, list_change_to_json

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "10"))
ENTRIES = int(os.environ.get("BENCH_ENTRIES", "1000000"))
RATE_PER_S = float(os.environ.get("BENCH_RATE", "200"))
MODEL_DIR = os.environ.get("BENCH_MODEL_DIR", "")
RULES = (10, 50, 200)
SWAP_S, BASE_S, WITHIN_S = 1.0, 4.0, 30.0
CHUNK_ROWS = 32_000
PREFIX, WATCHED = "swap.", "watched"
_READY = "serving grpc on "


def policy_text(count: int, name: str) -> PolicyText:
    """So many rules, which read a managed list."""
    lines = [
        *("version: 1", f"name: {name}"),
        "thresholds: {default: {challenge: 0.05, review: 0.20, decline: 0.50}}",
        f"lists: {{{WATCHED}: {{managed: true}}}}",
        "rules:",
    ]
    for n, when in enumerate(rules(count)):
        lines += [f"  - id: rule_{n}", f"    when: '{when}'"]
        lines += ["    then: review", "    reason_code: A_RULE"]
    lines += [
        "default: {outcome: review, reason_code: NO_SCORE}",
        "reasons:",
        "  A_RULE: A rule speaks against the payment.",
        "  NO_SCORE: The payment could not be scored.",
        "  NO_RISK_FOUND: Nothing speaks against the payment.",
    ]
    text = "\n".join(lines) + "\n"
    version = load_policy(text, catalogue=default_catalogue(), name=name).version
    return PolicyText(version, text)


@dataclass(slots=True)
class Control:
    """Writes what the control plane would; a swap is known by its decisions."""

    producer: AIOKafkaProducer
    outbox: Outbox = field(default_factory=Outbox)
    number: int = 0
    revision: int = 0

    async def send(self, records: Sequence[Record]) -> None:
        """Append records, acknowledged."""
        sent = [
            await self.producer.send(
                f"{PREFIX}control", r.value, key=r.key, headers=list(r.headers)
            )
            for r in records
        ]
        await asyncio.gather(*sent)

    def policy(self, count: int) -> tuple[list[Record], Callable[[Versions], bool]]:
        """A release of so many rules, and how to know that it decides."""
        self.number += 1
        text = policy_text(count, f"no. {self.number}")
        release = PolicyRelease(release=self.number, policy=text.version)
        records = [
            self.outbox.put(text.key, text_to_json(text)),
            self.outbox.put(POLICY_KEY, release_to_json(release)),
        ]
        return records, lambda versions: versions.policy == text.version

    def change(self) -> tuple[list[Record], Callable[[Versions], bool]]:
        """One entry more."""
        self.revision += 1
        entry = ListEntry(f"{self.revision:016x}", FOREVER_MS)
        change = ListChange(WATCHED, self.revision, (entry,))
        key = key_of_change(WATCHED, self.revision)
        return [self.outbox.put(key, list_change_to_json(change))], self._seen()

    def base(self) -> tuple[list[Record], Callable[[Versions], bool]]:
        """Every entry of the list anew."""
        self.revision += 1
        chance = np.random.default_rng(self.revision)
        hashes = np.unique(chance.integers(0, 2**64, ENTRIES, np.uint64))
        rows = np.empty(len(hashes), ROW)
        rows["hash"], rows["until_ms"] = hashes, FOREVER_MS
        parts = [
            rows[at : at + CHUNK_ROWS].tobytes()
            for at in range(0, len(rows), CHUNK_ROWS)
        ]
        chunks = {chunk_id(self.revision, n, p): p for n, p in enumerate(parts)}
        base = ListBase(WATCHED, self.revision, tuple(chunks), len(rows))
        records = [
            *(self.outbox.put(key_of_chunk(WATCHED, i), p) for i, p in chunks.items()),
            self.outbox.put(key_of_list(WATCHED), list_base_to_json(base)),
        ]
        return records, self._seen()

    def _seen(self) -> Callable[[Versions], bool]:
        revision = self.revision
        return lambda versions: versions.lists >= revision


@dataclass(slots=True)
class Caller:
    """Sends checks at a steady rate, and knows what decided the last of them."""

    channel: LightChannel
    traffic: Traffic = field(default_factory=lambda: Traffic(5))
    failed: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    last: Versions = field(default_factory=Versions)

    async def call(self) -> None:
        """Until it is over, and all are answered."""
        async with asyncio.TaskGroup() as asked:
            while not self.over.is_set():
                asked.create_task(self._one())
                await asyncio.sleep(1 / RATE_PER_S)

    async def _one(self) -> None:
        request = calls.CheckTransactionRequest(transaction=self.traffic.next())
        path = f"{SERVICE}CheckTransaction"
        status, raw = await self.channel.unary(path, request.SerializeToString(), 30)
        if status == "OK":
            reply = calls.CheckTransactionResponse.FromString(raw)
            self.last = reply.decision.core.versions
        else:
            self.failed += 1


Window = tuple[str, float, float, float]  # of a case: quiet, swapped from, ended


async def swaps(control: Control, caller: Caller) -> list[Window]:
    """Every case in interleaved rounds."""
    cases: dict[str, tuple[float, Callable[[], Any]]] = {
        f"rules_{count}": (SWAP_S, lambda count=count: control.policy(count))
        for count in RULES
    }
    cases |= {"entry": (SWAP_S, control.change), "base": (BASE_S, control.base)}
    windows = []
    for turn in range(ROUNDS + 1):  # the first warms up
        for name, (seconds, made) in cases.items():
            records, decides = await asyncio.to_thread(made)
            quiet_at = time.perf_counter()
            await asyncio.sleep(seconds)
            swapped_at = time.perf_counter()
            await control.send(records)
            await asyncio.sleep(seconds)
            while not decides(caller.last):
                if time.perf_counter() > swapped_at + WITHIN_S:
                    raise SystemExit(f"{name}: not in force after {WITHIN_S} s")
                await asyncio.sleep(seconds / 10)
            if turn:
                ended_at = time.perf_counter()
                windows.append((name, quiet_at, swapped_at, ended_at))
    return windows


def figures(windows: Sequence[Window], ticks: Path) -> dict[str, float]:
    """The latest tick of each window: median, p99 and worst of each case."""
    raw = ticks.read_bytes()
    whole = len(raw) // TICK.size * TICK.size
    found = np.frombuffer(raw[:whole], np.dtype([("due", "<f8"), ("late", "<f4")]))
    late: dict[str, list[float]] = defaultdict(list)
    for name, quiet_at, swapped_at, ended_at in windows:
        spans = {"quiet": (quiet_at, swapped_at), "stall": (swapped_at, ended_at)}
        for kind, (begins, ends) in spans.items():
            inside = (found["due"] >= begins) & (found["due"] < ends)
            late[f"{kind}_ms_{name}"].append(float(found["late"][inside].max()))
    return {
        f"{key}_{label}": percentile(values, percent)
        for key, values in late.items()
        for label, percent in (("p50", 50), ("p99", 99), ("max", 100))
    }


@contextmanager
def served(env: dict[str, str]) -> Iterator[str]:
    """The address of a server with the ticker, once it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.swap_serve", "serve"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith(_READY):
                yield line.removeprefix(_READY).strip()
                break
        else:
            raise SystemExit("the server never answered")
    finally:
        process.terminate()
        process.wait(30)


@asynccontextmanager
async def controlled(bootstrap: str) -> AsyncIterator[Control]:
    """The topics, and who writes to them."""
    names = ("control", "control.replicas")
    await create_topics(bootstrap, PREFIX, names=names, partitions=1)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", max_request_size=2**21
    )
    await producer.start()
    try:
        yield Control(producer)
    finally:
        await producer.stop()


async def measure(url: str, scratch: Path) -> dict[str, Any]:
    """Start the server and swap under load."""
    ticks = scratch / "ticks"
    with embedded_broker() as bootstrap:
        env = {
            "SCORING_REDIS_URL": url,
            "SCORING_MODEL_DIR": MODEL_DIR or str(trained(scratch / "model")),
            "SCORING_STATE_DIR": str(scratch / "state"),
            "SCORING_GRPC_ADDRESS": "127.0.0.1:0",
            "SCORING_DRAIN_NOTICE_S": "0",
            "SCORING_KAFKA_BOOTSTRAP": bootstrap,
            "SCORING_TOPIC_PREFIX": PREFIX,
            "SCORING_FETCH_WAIT_MS": str(FETCH_WAIT_MS),
            "SCORING_POLICY_FROM": "control",
            "SCORING_BUDGET_MS": "30000",
            "SCORING_STORE_BUDGET_MS": "20000",
            "SWAP_TICKS": str(ticks),
        }
        async with controlled(bootstrap) as control:
            await control.send(control.policy(1)[0])
            with served(env) as address:
                async with LightChannel(address) as channel:
                    caller = Caller(channel)
                    calling = asyncio.create_task(caller.call())
                    windows = await swaps(control, caller)
                    caller.over.set()
                    await calling
    told = {"failed": caller.failed, "rounds": ROUNDS, "entries": ENTRIES}
    return {**figures(windows, ticks), **told}


if __name__ == "__main__":
    shown(measure)
