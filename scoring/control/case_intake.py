"""Reads the decisions topic and has cases made of it, by one copy at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from scoring.control.desks.case_admission import CaseAdmission, DecisionBatch
from scoring.control.desks.decided import (
    Amount,
    ReadDecision,
    goes_to_people,
    key_of_decision,
    read_from,
)
from scoring.control.lease import Lease
from scoring.errors import (
    BadArtifact,
    DatabaseUnavailable,
    InvalidTransaction,
    LogUnavailable,
)
from scoring.kafka.record_values import message_in
from scoring.kafka.startup_errors import reader
from scoring.kafka.topic_admin import TopicAdmin
from scoring.v1.decision_pb2 import Decision

log = logging.getLogger(__name__)
_PAUSE_S = 1.0
_PAUSE_S_MAX = 15.0
_POLL_MS = 500
_POLL_RECORDS_MAX = 500
_POSITION_S = 5.0  # how often a position is kept where nothing else is
_OUTSIDE = (LogUnavailable, BadArtifact, DatabaseUnavailable, KafkaError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionsTopic:
    """The topic, and how old a decision may be that the very first start reads."""

    bootstrap: str
    options: Mapping[str, Any]
    name: str
    fetch_wait_ms: int
    backlog_ms: int


@dataclass(slots=True)
class CaseIntake:
    """Has cases made of decisions, until it is cancelled.

    Cases and the position behind them are one transaction, so that a copy that is
    killed, or that lost its lease, reads some decisions again and makes nothing twice.
    `fault` says why nothing is read; empty where nothing is wrong. `unreadable` and
    `missed` count records that are no decisions, and those that were deleted unread.
    """

    topic: DecisionsTopic
    admission: CaseAdmission
    amount: Amount
    lease: Lease
    now_ms: Callable[[], int]
    fault: str = ""
    behind: int = 0
    unreadable: int = 0
    missed: int = 0
    _incarnation: str = ""
    _ends: dict[int, int] = field(default_factory=dict)
    _kept_at: float = 0.0

    async def run(self) -> None:
        """Read until cancelled; then let another copy have the lease."""
        pause_s = _PAUSE_S
        try:
            while True:
                try:
                    if await asyncio.to_thread(self.lease.hold):
                        await self._follow()
                    self._well()
                    pause_s = _PAUSE_S
                except _OUTSIDE as error:
                    self._stopped(str(error) or type(error).__name__)
                    pause_s = min(2 * pause_s, _PAUSE_S_MAX)
                except Exception as error:  # told, and tried again: nobody awaits it
                    log.exception("no case is made: of a fault of ours")
                    self._stopped(repr(error))
                    pause_s = _PAUSE_S_MAX
                self.behind = 0
                await asyncio.sleep(pause_s)
        finally:
            with suppress(DatabaseUnavailable):
                await asyncio.to_thread(self.lease.let_go)

    async def _follow(self) -> None:
        """Read on while this copy has the lease and the topic its partitions."""
        opened = reader(
            self.topic.bootstrap,
            self.topic.options,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.topic.fetch_wait_ms,
        )
        async with opened as consumer:
            places = await self._begin(consumer)
            log.info("this copy makes cases of %s now", self.topic.name)
            while await asyncio.to_thread(self.lease.hold):
                polled = await consumer.getmany(
                    timeout_ms=_POLL_MS, max_records=_POLL_RECORDS_MAX
                )
                self._well()
                await asyncio.to_thread(self._take, polled)
                self.behind = await _behind(consumer, places)
                known = consumer.partitions_for_topic(self.topic.name)
                if known is not None and len(known) > len(places):
                    return

    async def _begin(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        """Begin behind what was read; at first with what is not too old."""
        name = self.topic.name
        async with TopicAdmin(self.topic.bootstrap, self.topic.options) as admin:
            found = (await admin.found([name]))[name]
        if not found.partitions:
            raise BadArtifact(
                f"{name}: there is no such topic; `scoring topics create`"
            )
        places = [TopicPartition(name, p) for p in range(found.partitions)]
        consumer.assign(places)
        self._incarnation, self._ends = found.id, {}
        kept = await asyncio.to_thread(self.admission.positions, name, found.id)
        if kept is None:
            # The ends first: what is appended meanwhile is found by its time.
            ends = await consumer.end_offsets(places)
            since_ms = self.now_ms() - self.topic.backlog_ms
            wanted = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
            kept = {
                p.partition: at.offset for p, at in wanted.items() if at is not None
            }
            kept = {p.partition: ends[p] for p in places} | kept
            # At once: of a partition without a position everything would be read.
            begun = DecisionBatch(topic=name, incarnation=found.id, ends=kept)
            await asyncio.to_thread(self.admission.admit, begun)
        await self._seek(consumer, places, kept)
        return places

    async def _seek(
        self,
        consumer: AIOKafkaConsumer,
        places: Sequence[TopicPartition],
        kept: Mapping[int, int],
    ) -> None:
        first = await consumer.beginning_offsets(list(places))
        for place in places:
            at = kept.get(place.partition, 0)
            if 0 < at < first[place]:
                self.missed += first[place] - at
                log.warning(
                    "%s/%d: %d records were deleted before they were read; no case was "
                    "made of them",
                    *(place.topic, place.partition, first[place] - at),
                )
            consumer.seek(place, max(at, first[place]))

    def _take(self, polled: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Have cases made of what was read, in a thread."""
        decisions = list(self._read(polled)) if polled else []
        for place, records in polled.items():
            self._ends[place.partition] = records[-1].offset + 1
        at = self.lease.monotonic()
        if not decisions and (not polled or at < self._kept_at + _POSITION_S):
            return
        batch = DecisionBatch(
            topic=self.topic.name,
            incarnation=self._incarnation,
            ends=dict(self._ends),
            decisions=decisions,
        )
        self.admission.admit(batch)
        self._kept_at = at

    def _read(
        self, polled: Mapping[TopicPartition, Sequence[Any]]
    ) -> Iterator[ReadDecision]:
        awaited, before = self.admission.awaited(), self.unreadable
        for record in (each for records in polled.values() for each in records):
            try:
                read = self._decision(record, awaited)
            except InvalidTransaction as error:
                self.unreadable += 1
                if self.unreadable == before + 1:  # of each poll the first is told
                    log.warning(
                        "%s/%d: the record at %d is passed over: %s",
                        *(record.topic, record.partition, record.offset, error),
                    )
            else:
                if read is not None:
                    yield read

    def _decision(
        self, record: Any, awaited: set[tuple[str, str]]
    ) -> ReadDecision | None:
        """A decision that a case is made of, or waits for; None for the many others."""
        decision = message_in(record, Decision)
        if decision is None or not decision.core.transaction_id:
            raise InvalidTransaction("", "it is no decision")
        if not goes_to_people(decision) and key_of_decision(decision) not in awaited:
            return None
        read = read_from(decision, self.amount)
        if read.decided.provisional:
            awaited.add(read.decided.key)
        return read

    def _well(self) -> None:
        if self.fault:
            log.warning("cases are made of %s again", self.topic.name)
        self.fault = ""

    def _stopped(self, why: str) -> None:
        if why != self.fault:
            log.warning("no case is made: %s", why)
        self.fault = why


async def _behind(consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> int:
    """How many records were not read yet, as far as the last answers tell."""
    behind = 0
    for place in places:
        end = consumer.highwater(place)
        if end is not None:
            behind += max(0, end - await consumer.position(place))
    return behind
