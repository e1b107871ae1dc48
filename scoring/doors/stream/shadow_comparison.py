"""Reads back what two models said and what turned out to be true."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import nan
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from scoring import wire
from scoring.core.decision.decision import Outcome
from scoring.core.model.rivalry import Key, ModelJudgement, Rivalry, rivalry
from scoring.errors import LogUnavailable, ScoringError
from scoring.kafka.record_values import opened
from scoring.kafka.startup_errors import reader
from scoring.kafka.topic_admin import TopicAdmin
from scoring.kafka.topic_names import Topics
from scoring.v1 import decision_pb2

_EMPTY_READS = 3  # the embedded broker reports ends too low: read on for a while
_PATIENCE_MS = 300
_POLL_RECORDS_MAX = 2_000


@dataclass(slots=True)
class _Heard:
    """What was read so far, by transaction; the latest label version counts."""

    versions: tuple[str, str]
    said: dict[str, dict[Key, ModelJudgement]] = field(default_factory=dict)
    labels: dict[Key, tuple[int, bool | None]] = field(default_factory=dict)

    def decision(self, record: Any) -> None:
        value, content_type = opened(record)
        decision = wire.message_from_bytes(value, decision_pb2.Decision, content_type)
        core = decision.core
        if core.versions.model in self.versions:
            said = ModelJudgement(
                Outcome(core.outcome),
                core.score if core.HasField("score") else nan,
                core.margin if core.HasField("margin") else nan,
            )
            own = self.said.setdefault(core.versions.model, {})
            own.setdefault((core.tenant, core.transaction_id), said)

    def label(self, record: Any) -> None:
        value, content_type = opened(record)
        label = wire.label_from_bytes(value, content_type=content_type)
        key = (label.tenant, label.transaction_id)
        if label.version >= self.labels.get(key, (0, None))[0]:
            self.labels[key] = (label.version, label.fraud)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Reads the decisions, the challengers' and the labels of one namespace."""

    bootstrap: str
    client: Mapping[str, Any]
    topics: Topics

    async def compared(
        self, first: str, second: str, *, since_ms: int, until_ms: int
    ) -> Rivalry:
        """What two model versions said of the same transactions in a span of time
        (that of the records, wall clock).

        Some 200 bytes a decision are held. Raises `LogUnavailable`.
        """
        heard = _Heard((first, second))
        take = {
            self.topics.decisions: heard.decision,
            self.topics.challenger: heard.decision,
            self.topics.labels: heard.label,
        }
        try:
            async with reader(
                self.bootstrap, self.client, auto_offset_reset="earliest"
            ) as consumer:
                await _seek(consumer, await self._places(list(take)), since_ms)
                async for record in _records(consumer, since_ms, until_ms):
                    with suppress(ScoringError, ValueError):
                        take[record.topic](record)
        except (KafkaError, OSError) as error:
            raise LogUnavailable(f"no broker answers at {self.bootstrap}") from error
        said = heard.said
        labels = {key: fraud for key, (_, fraud) in heard.labels.items()}
        return rivalry(said.get(first, {}), said.get(second, {}), labels)

    async def _places(self, topics: list[str]) -> list[TopicPartition]:
        """Every partition of these topics; of a missing one none."""
        async with TopicAdmin(self.bootstrap, self.client) as admin:
            found = await admin.found(topics)
        return [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in range(found[topic].partitions)
        ]


async def _seek(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], since_ms: int
) -> None:
    consumer.assign(places)
    if not places:
        return
    offsets = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
    for place in places:
        found = offsets.get(place)
        if found is None:
            await consumer.seek_to_beginning(place)
        else:
            consumer.seek(place, found.offset)


async def _records(
    consumer: AIOKafkaConsumer, since_ms: int, until_ms: int
) -> AsyncIterator[Any]:
    """Records of the span; ends behind what there was, once polls bring none of it."""
    places = consumer.assignment()
    ends = await consumer.end_offsets(list(places)) if places else {}
    empty = 0
    while places and (empty < _EMPTY_READS or await _behind(consumer, ends)):
        found = await consumer.getmany(
            timeout_ms=_PATIENCE_MS, max_records=_POLL_RECORDS_MAX
        )
        wanted = [
            record
            for records in found.values()
            for record in records
            if record.timestamp < until_ms
        ]
        empty = 0 if wanted else empty + 1
        for record in wanted:
            if record.timestamp >= since_ms:
                yield record


async def _behind(consumer: AIOKafkaConsumer, ends: Mapping[Any, int]) -> bool:
    return any([await consumer.position(tp) < end for tp, end in ends.items()])
