"""Challengers beside the stream: decisions in, what challengers would say out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from scoring.core.decision.decision import DecisionCore
from scoring.errors import BadArtifact, LogUnavailable, ScoringError
from scoring.kafka.decision_records import DecisionRecords
from scoring.kafka.record_values import opened
from scoring.kafka.startup_errors import reader
from scoring.kafka.topic_admin import TopicAdmin
from scoring.kafka.topic_incarnation import OwnPositions, committed_in
from scoring.kafka.topic_names import Topics
from scoring.pipeline.challenger import Challenger
from scoring.ports.log import DecisionLog, LogRecord
from scoring.wire.shadow_decisions import Judged, challenge_to_bytes, judged_from_bytes

log = logging.getLogger(__name__)
# Nobody waits for a challenger: large polls cost the champion's machine least.
_POLL_RECORDS_MAX = 1_000
_REST_S = 0.5  # between polls, so that they are large
_PATIENCE_MS = 300
_EMPTY_READS = 3  # the embedded broker reports ends too low: read on for a while


@dataclass(slots=True, kw_only=True)
class Shadow:
    """Reads decisions, has every challenger decide them again, and appends that.

    At least once: what a restart repeats is equal but for its trace, and
    `scoring models compare` counts it once. A vector of other feature definitions
    is passed over and counted, never guessed at.
    """

    bootstrap: str
    client: Mapping[str, Any]
    topics: Topics
    challengers: Sequence[Challenger]
    log: DecisionLog
    content_type: str
    now_ms: Callable[[], int]
    judged: int = 0
    passed_over: int = 0
    rest_s: float = _REST_S
    _topic_id: str = ""

    @property
    def group(self) -> str:
        """The consumer group: other challengers read every decision themselves."""
        versions = sorted(c.model.version for c in self.challengers)
        told = sha256("".join(versions).encode()).hexdigest()[:12]
        return f"{self.topics.prefix}scoring-shadow-{told}"

    async def run(
        self,
        told: asyncio.Event,
        *,
        from_beginning: bool = False,
        until_end: bool = False,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Judge until told to stop, or with `until_end` until nothing is left.

        Raises `BadArtifact` for a missing topic, `LogUnavailable` for a broker that
        went away: what was not committed is judged again after a restart.
        """
        self._topic_id = await self._checked_topics()
        try:
            async with reader(
                self.bootstrap,
                self.client,
                group_id=self.group,
                auto_offset_reset="earliest" if from_beginning else "latest",
            ) as consumer:
                consumer.subscribe(
                    [self.topics.decisions],
                    listener=OwnPositions(consumer, self._topic_id),
                )
                ready()
                empty = 0
                while not told.is_set():
                    empty = 0 if await self._poll(consumer) else empty + 1
                    if until_end and empty >= _EMPTY_READS and await _at_end(consumer):
                        return
                    await _rest(told, 0.0 if until_end else self.rest_s)
        except (KafkaError, OSError) as error:
            raise LogUnavailable(f"the broker at {self.bootstrap}: {error}") from error

    async def _checked_topics(self) -> str:
        """The id of the decisions topic, where the broker tells it."""
        ours, theirs = self.topics.challenger, self.topics.decisions
        async with TopicAdmin(self.bootstrap, self.client) as admin:
            found = await admin.found([ours, theirs])
        if found[ours].partitions < max(found[theirs].partitions, 1):
            raise BadArtifact(
                f"{ours} has fewer partitions than {theirs}, or is missing; "
                "`scoring topics create` makes it"
            )
        return found[theirs].id

    async def _poll(self, consumer: AIOKafkaConsumer) -> bool:
        """Judge what one poll brings, commit it, and tell whether that was anything."""
        found = await consumer.getmany(
            timeout_ms=_PATIENCE_MS, max_records=_POLL_RECORDS_MAX
        )
        for records in found.values():
            await self._judge(records)
        if found:
            said = committed_in(self._topic_id)
            await consumer.commit(
                {
                    tp: OffsetAndMetadata(await consumer.position(tp), said)
                    for tp in found
                }
            )
        return bool(found)

    async def _judge(self, records: Sequence[Any]) -> None:
        """Judge records of one partition, in order, and append what was found."""
        read = [(record, self._read(record)) for record in records]
        out = []
        for challenger in self.challengers:
            taken = [(r, j) for r, j in read if j is not None and challenger.takes(j)]
            self.passed_over += len(read) - len(taken)
            cores = challenger.decide_many([j for _, j in taken])
            for (record, judged), core in zip(taken, cores, strict=True):
                out.append(self._record(record, judged, core))
            # The next challenger's turn: signals and heartbeats get theirs first.
            await asyncio.sleep(0)
        await self.log.append(out)
        self.judged += len(out)

    def _read(self, record: Any) -> Judged | None:
        try:
            value, content_type = opened(record)
            return judged_from_bytes(value, content_type=content_type)
        except (ScoringError, ValueError) as error:
            log.warning("a record is not a decision of ours: %s", error)
            return None

    def _record(self, record: Any, judged: Judged, core: DecisionCore) -> LogRecord:
        """A `Decision` of core and trace, in the partition of the champion's."""
        position = f"{record.topic}/{record.partition}@{record.offset}"
        raw = challenge_to_bytes(core, position, decided_at_ms=self.now_ms())
        records = DecisionRecords(self.topics, self.content_type)
        model = core.versions.model
        return records.challenge(raw, judged.transaction, model, record.partition)


async def _rest(told: asyncio.Event, rest_s: float) -> None:
    try:
        async with asyncio.timeout(rest_s):
            await told.wait()
    except TimeoutError:
        return


async def _at_end(consumer: AIOKafkaConsumer) -> bool:
    assigned = consumer.assignment()
    ends = await consumer.end_offsets(list(assigned))
    return all([await consumer.position(tp) >= ends[tp] for tp in assigned])
