"""Parts of the history tests: a life lived in a real store and log, and its state."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import store_parts
from redis.asyncio import Redis
from streams import DAY_MS, check

from scoring import wire
from scoring.core.features.catalogue import Catalogue, default_catalogue
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import load_policy
from scoring.core.policy.shipped_policy import default_policy
from scoring.core.transaction.label import Label, Verdict
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import Transaction
from scoring.history.rebuild import Milestones, Rebuild
from scoring.history.topic_archiver import silent
from scoring.history.wiring import store_to_fill, terms_from, update_archive
from scoring.kafka.decision_records import DecisionRecords
from scoring.kafka.producer import KafkaLog
from scoring.kafka.topic_names import Topics, key_of
from scoring.models.onnx_model import load_model
from scoring.pipeline.answer import Decided
from scoring.pipeline.batch import Artifacts
from scoring.pipeline.budget import Budget
from scoring.pipeline.door_options import DoorOptions
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.follow_ups import LabelledTransaction, TransactionEvent
from scoring.ports.log import LogRecord
from scoring.stores.redis.store import RedisStore
from scoring.stores.spool import MemorySpool
from scoring.telemetry.prometheus import SilentTelemetry

DEDUPE_S = 8 * 86_400
connected = partial(store_parts.connected, dedupe_ms=DEDUPE_S * 1_000)
_VERDICTS = {
    True: Verdict.FRAUD,
    False: Verdict.LEGITIMATE,
    None: Verdict.WITHDRAWN,
}


@dataclass
class Life:
    """A scorer on a real store, whose decisions and labels go to a real log."""

    store: RedisStore
    log: KafkaLog
    topics: Topics
    model_dir: object
    catalogue: Catalogue = field(default_factory=default_catalogue)
    decided: dict[str, bytes] = field(default_factory=dict)
    labelled: list[LabelledTransaction] = field(default_factory=list)
    content_type: str = wire.PROTOBUF
    policy: str = ""  # the shipped one

    def __post_init__(self):
        model = load_model(self.model_dir, catalogue=self.catalogue)
        policy = (
            load_policy(self.policy, catalogue=self.catalogue, name="policy.yaml")
            if self.policy
            else default_policy(self.catalogue)
        )
        telemetry = SilentTelemetry()
        spool = MemorySpool(count_max=10_000)
        gateway = StoreGateway(
            self.store,
            telemetry,
            asyncio.get_running_loop().time,
            Budget(store_s=30.0),  # the machine is shared
        )
        self.provisional = Provisional(gateway, spool, telemetry, 10_000)
        self.scorer = Scorer(
            gateway=gateway,
            artifacts=Artifacts(self.catalogue, model, InForce(policy)),
            provisional=self.provisional,
            telemetry=telemetry,
            now_ms=lambda: time.time_ns() // 1_000_000,
            options=DoorOptions(outbox=False),
        )

    async def pay(self, stream: list[Transaction], rnd: random.Random) -> list[Decided]:
        """Decide a stream in groups, some of it twice, and log each new decision."""
        answers, i = [], 0
        while i < len(stream):
            group = stream[i : i + rnd.choice((1, 7, 40))]
            i += len(group)
            twice = [t for t in group if rnd.random() < 0.1]
            answers += await self.decide(group + twice)
        return answers

    async def decide(self, group: list[Transaction]) -> list[Decided]:
        answers = await self.scorer.score_many([check(t) for t in group])
        fresh = [
            (t, a) for t, a in zip(group, answers, strict=True) if a.logged is not None
        ]
        for t, answer in fresh:
            self.decided[t.id] = answer.decision
        records = DecisionRecords(self.topics, self.content_type, self.catalogue)
        await self.log.append([records.record(a.logged, t) for t, a in fresh])
        return answers

    async def learn(self, labels: list[LabelledTransaction], *, bare: bool) -> None:
        """Apply labels and log them; `bare` ones leave their transaction out."""
        self.labelled += labels
        await self.store.learn(labels)
        await self.log.append([self._record(label, bare=bare) for label in labels])

    def _record(self, labelled: LabelledTransaction, *, bare: bool) -> LogRecord:
        t = labelled.transaction
        label = Label(
            t.tenant,
            t.id,
            labelled.version,
            _VERDICTS[labelled.fraud],
            labelled.known_at_ms,
            transaction=None if bare else t,
        )
        return LogRecord(
            topic=self.topics.labels,
            key=key_of(t),
            value=wire.label_to_proto(label).SerializeToString(),
            headers=(("content-type", wire.PROTOBUF.encode()),),
        )

    async def report(self, events: list[TransactionEvent], *, bare: bool) -> None:
        """Apply lifecycle events and log them; `bare` as `learn`."""
        await self.store.learn(events)
        told = [replace(one.event, transaction=one.transaction) for one in events]
        await self.log.append(
            [
                LogRecord(
                    topic=self.topics.events,
                    key=key_of(one.transaction),
                    value=wire.follow_up_to_bytes(one_told(one, bare=bare)),
                    headers=(("content-type", wire.PROTOBUF.encode()),),
                )
                for one in told
            ]
        )

    async def close(self) -> None:
        await self.provisional.close()
        await self.store.close()


def one_told(event: LifecycleEvent, *, bare: bool) -> LifecycleEvent:
    return replace(event, transaction=None) if bare else event


async def state(url: str, namespace: str) -> dict[bytes, bytes]:
    """Every key of a namespace with its value."""
    async with Redis.from_url(url) as redis:
        keys = [key async for key in redis.scan_iter(f"{namespace}:*", count=1_000)]
        values = await redis.mget(keys) if keys else []
    return dict(zip(keys, values, strict=True))


async def cells(store: RedisStore, stream: list[Transaction]) -> list:
    """What fresh payments of each of the stream's entities would observe, at times
    within and beyond what the stream covered; nothing is counted.
    """
    newest = max(t.occurred_at_ms for t in stream)
    probes = [
        replace(t, id=f"probe-{i}-{n}", occurred_at_ms=newest + after_ms)
        for i, t in enumerate({_who(t): t for t in stream}.values())
        for n, after_ms in enumerate((1, DAY_MS, 9 * DAY_MS))
    ]
    probes += [replace(t, id=f"late-{t.id}") for t in stream[:: len(stream) // 50 + 1]]
    seen = await store.observe([check(t, dry_run=True) for t in probes])
    assert not any(o.degradations for o in seen)
    return [(o.values, o.inexact) for o in seen]


def _who(t: Transaction) -> tuple[str, ...]:
    return t.card, t.customer, t.merchant, t.terminal, t.device


def same(ours: list, theirs: list) -> tuple[int, int]:
    """How many cells were compared, and how many differ."""
    count = wrong = 0
    for (a, inexact_a), (b, inexact_b) in zip(ours, theirs, strict=True):
        count += a.size
        wrong += int((~((a == b) | (np.isnan(a) & np.isnan(b)))).sum())
        wrong += inexact_a != inexact_b
    return count, wrong


async def rebuilt(
    settings, archive, *, catalogue=None, marks=True, traffic=None, then=None
):
    """Run `scoring rebuild` as its command does; `traffic` goes on before each take,
    `then` after it, and is followed."""
    catalogue, terms = catalogue or default_catalogue(), terms_from(settings)
    archive.prepare()
    take = partial(update_archive, settings, archive, silent)

    async def taken_in_traffic():
        await traffic()
        await take()

    async with store_to_fill(settings, catalogue) as store:
        work = Rebuild(
            store=store,
            archive=archive,
            catalogue=catalogue,
            lateness_ms=terms.lateness_ms,
            dedupe_ms=terms.dedupe_ms,
            now_ms=lambda: time.time_ns() // 1_000_000,
            take=take if traffic is None else taken_in_traffic,
            milestones=Milestones.load(archive.directory / "rebuild.json", "r"),
            marks=marks,
        )
        done = await work.run()
        if then is not None:
            await then()
            await work.follow()
        return done
