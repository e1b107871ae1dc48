"""Finds payments by their id in everything that was decided: archive and topic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from scoring import wire
from scoring.core.transaction.transaction import Transaction
from scoring.doors.stream.stall_detector import Progress
from scoring.errors import LogUnavailable, ScoringError
from scoring.kafka.record_values import header_of, message_in
from scoring.kafka.startup_errors import appended_ends, reader
from scoring.kafka.topic_admin import TopicAdmin
from scoring.kafka.topic_layout import TopicDescription
from scoring.v1 import decision_pb2

log = logging.getLogger(__name__)
Key = tuple[str, str]  # tenant, transaction id
# A pass over the topic takes no longer: at some 50 us a decision, and as long for the
# loop's other work, the newest half a million. What is older is the archive's.
_PASS_S = 60.0
_REST_S = 0.1  # at most, after each read
_WINDOW_RECORDS = 20_000  # of each partition, from the newest back
_POLL_RECORDS_MAX = 1_000  # read at a time
_POLL_MS = 200
_MS_PER_S = 1_000
_AGAIN_S = 5.0  # after a log that was unavailable


class Found(NamedTuple):
    """The payments that were asked for, None where unknown, and where was looked."""

    payments: list[Transaction | None]
    where: str


class PaymentSearch(Protocol):
    """Looks for payments that the record does not hold, or no longer."""

    async def payments(self, keys: Sequence[Key]) -> Found:
        """One payment a key. It may take a minute, and as long as a log's outage."""
        ...


class Archived(NamedTuple):
    """What an archive holds of the payments that were asked for.

    `taken` is the broker's own next offset of each partition, in the incarnation
    `topic_id` of the topic; empty where no broker told which that was.
    """

    payments: Mapping[Key, Transaction] = MappingProxyType({})
    taken: Mapping[int, int] = MappingProxyType({})
    topic_id: str = ""


class PaymentArchive(Protocol):
    """The decisions that were archived."""

    async def payments(self, keys: Sequence[Key]) -> Archived:
        """What is archived of these, and how far the archive has come."""
        ...


@dataclass(slots=True, kw_only=True)
class LogSearch:
    """Looks in the archive, then in the decisions topic after it, newest first.

    One pass looks for all that wait; what comes meanwhile waits for the next.
    """

    bootstrap: str
    options: dict[str, Any]
    topic: str
    fetch_wait_ms: int
    progress: Progress
    archive: PaymentArchive | None = None
    pass_s: float = _PASS_S
    _wanted: dict[Key, asyncio.Future[tuple[Transaction | None, str]]] = field(
        default_factory=dict
    )
    _running: asyncio.Task[None] | None = None

    async def payments(self, keys: Sequence[Key]) -> Found:
        """See `PaymentSearch`."""
        loop = asyncio.get_running_loop()
        futures = [self._wanted.setdefault(k, loop.create_future()) for k in keys]
        if self._running is None or self._running.done():
            self._running = loop.create_task(self._run())
        told = await asyncio.gather(*futures)
        return Found([payment for payment, _ in told], told[0][1] if told else "")

    async def _run(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            found, where = await self._outlasting(frozenset(wanted))
            for key, future in wanted.items():
                if not future.done():
                    future.set_result((found.get(key), where))

    async def _outlasting(
        self, keys: frozenset[Key]
    ) -> tuple[dict[Key, Transaction], str]:
        while True:
            try:
                return await self._pass(keys)
            except (KafkaError, LogUnavailable, OSError) as error:
                log.warning("labels wait: the decisions cannot be searched: %s", error)
                await asyncio.sleep(_AGAIN_S)

    async def _pass(self, keys: frozenset[Key]) -> tuple[dict[Key, Transaction], str]:
        archived = Archived()
        if self.archive is not None:
            archived = await self.archive.payments(sorted(keys))
            self.progress.forward()
        found = dict(archived.payments)
        if found.keys() >= keys:
            return found, ""
        topic = await self._topic()
        known = archived.taken if archived.topic_id == topic.id else {}
        async with reader(
            self.bootstrap,
            self.options,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.fetch_wait_ms,
            max_poll_records=_POLL_RECORDS_MAX,
        ) as consumer:
            scan = _Scan(consumer, keys, known, self.progress, found)
            # A client waits for ever for a position in a topic that was deleted.
            async with asyncio.timeout(self.pass_s + _AGAIN_S):
                reach = await scan.topic(topic, within_s=self.pass_s)
        if not found.keys() >= keys and (await self._topic()).id != topic.id:
            raise LogUnavailable(f"{self.topic} was made again meanwhile")
        return found, f"searched: {'the archive, ' * bool(archived.taken)}{reach}"

    async def _topic(self) -> TopicDescription:
        """The topic as it is now; raises `LogUnavailable` where there is none."""
        async with TopicAdmin(self.bootstrap, self.options) as admin:
            topic = (await admin.found([self.topic]))[self.topic]
        if not topic.exists:
            raise LogUnavailable(f"the brokers do not have {self.topic}")
        return topic


@dataclass(slots=True)
class _Scan:
    """One pass over the topic, and what it has found."""

    consumer: AIOKafkaConsumer
    keys: frozenset[Key]
    archived: Mapping[int, int]
    progress: Progress
    found: dict[Key, Transaction]
    oldest_ms: int = 0

    async def topic(self, topic: TopicDescription, *, within_s: float) -> str:
        """Look through windows of all partitions, newest first; says how far."""
        ends_at = asyncio.get_running_loop().time() + within_s
        tps = [TopicPartition(topic.name, p) for p in range(topic.partitions)]
        starts = await self.consumer.beginning_offsets(tps)
        for tp in tps:
            starts[tp] = max(starts[tp], self.archived.get(tp.partition, 0))
        ends = await self.consumer.end_offsets(tps)
        spans = {
            tp: (max(starts[tp], ends[tp] - _WINDOW_RECORDS), ends[tp]) for tp in tps
        }
        # A broker may report an end that lies before its last batch.
        beyond = _POLL_RECORDS_MAX
        while spans and not self.found.keys() >= self.keys:
            if not await self._window(spans, ends_at, beyond=beyond):
                back = datetime.fromtimestamp(self.oldest_ms / _MS_PER_S, UTC)
                return f"{topic.name} back to {back:%F %T} UTC"
            beyond = 0
            spans = {
                tp: (max(starts[tp], first - _WINDOW_RECORDS), first)
                for tp, (first, _) in spans.items()
                if first > starts[tp]
            }
        return f"all of {topic.name}{await self._held_back(tps, ends)}"

    async def _held_back(
        self, tps: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
    ) -> str:
        """What lies behind a transaction that its producer has not ended."""
        appended = await appended_ends(self.consumer, tps)
        count = sum(max(appended[tp] - ends[tp], 0) for tp in tps)
        if not count:
            return ""
        return f" but {count} records behind a transaction that is not over"

    async def _window(
        self,
        spans: Mapping[TopicPartition, tuple[int, int]],
        ends_at: float,
        *,
        beyond: int,
    ) -> bool:
        """Read these spans, and what there is `beyond`; False where time was over."""
        self.consumer.assign(list(spans))
        for tp, (first, _) in spans.items():
            self.consumer.seek(tp, first)
        open_, ids = dict(spans), {id_.encode() for _, id_ in self.keys}
        while open_:
            if asyncio.get_running_loop().time() > ends_at:
                return False
            polled = await self._read(list(open_), ids)
            for tp in list(open_):
                past = await self.consumer.position(tp) - open_[tp][1]
                if past >= (beyond if tp in polled else 0):
                    del open_[tp]
        return True

    async def _read(
        self, open_: list[TopicPartition], ids: set[bytes]
    ) -> Collection[TopicPartition]:
        """Read and look once; returns which had something.

        The payments of the stream have as much of the time as this.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        polled: dict[TopicPartition, list[Any]] = await self.consumer.getmany(
            *open_, timeout_ms=_POLL_MS
        )
        for records in polled.values():
            self._look(records, ids)
        self.progress.forward()
        await asyncio.sleep(min(loop.time() - began, _REST_S))
        return polled

    def _look(self, records: Sequence[Any], ids: set[bytes]) -> None:
        self.oldest_ms = records[0].timestamp
        for record in records:
            if header_of(record, "transaction-id") not in ids:
                continue
            payment = payment_in(record)
            if payment and (key := (payment.tenant, payment.id)) in self.keys:
                self.found.setdefault(key, payment)


def payment_in(record: Any) -> Transaction | None:
    """The transaction of a record of the decisions topic; None where it is none."""
    decision = message_in(record, decision_pb2.Decision)
    if decision is None or not decision.HasField("transaction"):
        return None
    try:
        return wire.accepted_from_proto(decision.transaction)
    except ScoringError:
        return None
