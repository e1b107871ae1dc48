"""Nothing that is still asked for goes by the wall clock.

Days pass in the store as they do in the world: before each day's payments every key's
time to live is shortened by what has passed since the payments before.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from redis.asyncio import Redis
from store_parts import connected, outbox_of
from streams import DAY_MS, LATENESS_MS, START_MS, check, transaction

from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import Transaction
from scoring.ports.follow_ups import LabelledTransaction
from scoring.ports.records import Recording
from scoring.stores.memory.store import MemoryStore

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
CATALOGUE = default_catalogue()
ENTITIES = 1_000 if NIGHTLY else 25
DAYS = 200  # more than two horizons
DEDUPE_MS = 8 * DAY_MS
TERMS = {"lateness_ms": LATENESS_MS, "dedupe_ms": DEDUPE_MS}
OUTAGE = range(120, 126)  # days on which nothing is processed: all of it comes after
# Days between two payments of one card: some pay twice a day, some twice a year.
GAPS = (0.4, 2, 8, 8, 25, 60, 88)
AGE = """
local cursor = '0'
repeat
  local found = redis.call('SCAN', cursor, 'MATCH', ARGV[1], 'COUNT', 1000)
  cursor = found[1]
  for _, key in ipairs(found[2]) do
    local left = redis.call('PTTL', key)
    if left >= 0 then redis.call('PEXPIRE', key, left - ARGV[2]) end
  end
until cursor == '0'
"""


@dataclass(frozen=True, slots=True)
class Day:
    """What is processed on one day: payments, some again, and labels.

    `contrary` say otherwise of what a label said within the horizon before.
    """

    payments: list[Transaction]
    again: list[Transaction]
    labels: list[LabelledTransaction]
    contrary: list[LabelledTransaction]


def payments(rnd: random.Random) -> list[Transaction]:
    """Of every card a life of `DAYS`, with gaps of its own, in event order."""
    made = []
    for card in range(ENTITIES):
        mean, day = rnd.choice(GAPS), rnd.uniform(0, 30)
        while day < DAYS:
            t = transaction(rnd, f"t{len(made)}", START_MS + int(day * DAY_MS))
            whose = card if rnd.random() < 0.8 else rnd.randrange(ENTITIES)
            others = {
                "customer": f"u{whose}",
                "merchant": f"m{rnd.randrange(ENTITIES // 3)}",
                "terminal": f"x{rnd.randrange(ENTITIES)}",
                "device": f"d{rnd.randrange(ENTITIES)}",
            }
            made.append(replace(t, card=f"c{card}", **others))
            day += min(rnd.expovariate(1 / mean), 89.5)
    return sorted(made, key=lambda t: t.occurred_at_ms)


def days(rnd: random.Random) -> Iterator[Day]:
    """What comes on each day, as it comes: an outage delays what falls into it."""
    stream = payments(rnd)
    waiting: list[Transaction] = []
    known: list[LabelledTransaction] = []
    seen: list[Transaction] = []
    told: list[LabelledTransaction] = []
    for day in range(1, DAYS + 1):
        until_ms = START_MS + day * DAY_MS
        while stream and stream[0].occurred_at_ms < until_ms:
            waiting.append(stream.pop(0))
        if day in OUTAGE:
            yield Day([], [], [], [])
            continue
        recent = [t for t in seen[-50:] if t.occurred_at_ms > until_ms - 6 * DAY_MS]
        due = [label for label in known if label.known_at_ms <= until_ms]
        known = [label for label in known if label.known_at_ms > until_ms]
        told = [t for t in told if t.known_at_ms > until_ms - CATALOGUE.horizon_ms]
        contrary = [
            replace(t, fraud=not t.fraud) for t in rnd.sample(told, len(told) // 9)
        ]
        yield Day(waiting, rnd.sample(recent, min(3, len(recent))), due, contrary)
        told += due
        known += [
            LabelledTransaction(
                transaction=t,
                version=1,
                fraud=rnd.random() < 0.7,
                known_at_ms=t.occurred_at_ms + rnd.randrange(DAY_MS, 30 * DAY_MS),
            )
            for t in waiting
            if rnd.random() < 0.3
        ]
        seen, waiting = (seen + waiting)[-200:], []


def recording(t: Transaction) -> Recording:
    return Recording(
        tenant=t.tenant,
        transaction_id=t.id,
        payload_hash=check(t).payload_hash,
        decision=t.id.encode(),
        logged=t.id.encode() if t.id.endswith("7") else None,
    )


@dataclass(slots=True)
class Compared:
    """What a day came to in the store, beside the reference."""

    cells: int = 0
    differing: int = 0
    repeats: int = 0
    refused: int = 0

    async def observe(self, store, oracle, checks):
        """Each sees the same, cell by cell; a decision that stands is the answer."""
        ours, theirs = await store.observe(checks), await oracle.observe(checks)
        for a, b in zip(ours, theirs, strict=True):
            assert (a.applied, a.stored) == (b.applied, b.stored)
            assert not a.degradations
            assert not a.inexact
            if a.stored is not None:
                self.repeats += 1
                continue
            same = (a.values == b.values) | (np.isnan(a.values) & np.isnan(b.values))
            self.cells += same.size
            self.differing += int((~same).sum())

    async def settle(self, engine, day):
        """The day's decisions are recorded and its labels learned, once each."""
        await engine.record([recording(t) for t in day.payments])
        stands = await engine.learn([*day.labels, *day.contrary])
        assert stands == [True] * len(day.labels) + [False] * len(day.contrary)
        self.refused += len(day.contrary)


@pytest.mark.timeout(3_600)
async def test_a_history_outlives_its_horizon_after_its_last_event(
    own_store, store_namespace
):
    store = await connected(own_store.url, store_namespace, CATALOGUE, **TERMS)
    oracle, found = MemoryStore(CATALOGUE, **TERMS), Compared()
    unpublished, kinds = set(), set()
    async with Redis.from_url(own_store.url) as client:
        for number, day in enumerate(days(random.Random(14)), 1):
            await client.eval(AGE, 0, f"{store_namespace}:*", DAY_MS)
            now_ms = START_MS + number * DAY_MS
            checks = [
                replace(check(t), received_at_ms=now_ms)
                for t in [*day.payments, *day.again]
            ]
            for i in range(0, len(checks), 100):
                await found.observe(store, oracle, checks[i : i + 100])
            for engine in (store, oracle):
                await found.settle(engine, day)
            unpublished |= {t.id for t in day.payments if t.id.endswith("7")}
        async for key in client.scan_iter(f"{store_namespace}:*", count=1_000):
            kinds.add(key.rpartition(b"}:")[2] if b"}:" in key else key.split(b":")[1])
    outbox = await outbox_of(store)
    await store.close()
    print(f"{ENTITIES} cards, {DAYS} days: {found}")
    assert found.differing == 0
    assert found.cells > 50_000
    assert min(found.repeats, found.refused) > DAYS
    assert {id_ for _, id_, _ in outbox} == unpublished
    # A kind of key that is new here: let this test ask for it, then name it.
    assert kinds == {b"e", b"s", b"l", b"d", b"v", b"f", b"outbox", b"processed"}


@pytest.mark.parametrize("gap_days", [0.01, 0.9, 8, 45, 89])
async def test_a_life_is_renewed_at_most_once_a_day_and_never_too_late(
    gap_days, own_store, store_namespace
):
    store = await connected(own_store.url, store_namespace, CATALOGUE, **TERMS)
    paid = Transaction("default", "t", currency="EUR", card="c1")
    renewals, gap_ms, count = 0, int(gap_days * DAY_MS), 40
    async with Redis.from_url(own_store.url) as client:
        for i in range(count):
            await client.eval(AGE, 0, f"{store_namespace}:*", gap_ms)
            before = await renewed(client)
            t = replace(paid, id=f"t{i}", occurred_at_ms=START_MS + i * gap_ms)
            await store.observe([check(t)])
            renewals += await renewed(client) - before
            (key,) = [k async for k in client.scan_iter(f"{store_namespace}:*c1}}:e")]
            assert await client.pttl(key) > CATALOGUE.horizon_ms + DEDUPE_MS
    await store.close()
    days_begun = int(gap_days * count) + 2
    assert renewals <= 2 * min(days_begun, count)  # events and counterparts


async def renewed(client: Redis) -> int:
    """How often the server was told when a key ends."""
    told = await client.info("commandstats")
    return told.get("cmdstat_pexpire", {"calls": 0})["calls"]
