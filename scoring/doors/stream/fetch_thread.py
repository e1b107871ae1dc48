"""The thread that fetches: committed records, and how far each partition is read.

Its client never decides by itself where to continue. An offset that the log no longer
has, or does not have yet, is answered here: with a line, and from the first record.
"""
# Faust is not typed for strict mode: its classes are Any.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Transport
from faust.types import TP
from prometheus_client import REGISTRY, Counter

from scoring.kafka.startup_errors import patient
from scoring.kafka.topic_incarnation import REMADE, committed_in, of_another
from scoring.ports.metrics import stream
from scoring.telemetry.families import gauge_of

# Not this module's name: Faust silences the loggers of modules with its services.
log = logging.getLogger("scoring.doors.stream.polls")
# A broker that is down refuses several times a second; one that hangs, once in the
# time that a request may take.
_UNAVAILABLE_S = 60.0
_DELETED = Counter(*stream.DELETED_UNREAD.told)
_COMMITTED = gauge_of(stream.COMMITTED, REGISTRY)


class Fetched(NamedTuple):
    """Records by partition, and the offset behind all that was handed out.

    `reached` is further than the last record where control records, aborted ones or
    gaps of compaction follow it.
    """

    records: Mapping[TP, list[Any]]
    reached: Mapping[TP, int]


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a partition ended with its last fetch: for us, and for its producers.

    What lies between belongs to a transaction that is not over.
    """

    readable: int
    appended: int


NOTHING = Fetched({}, {})


class PollThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, with what it takes to know where we are."""

    _failed_at: float | None = None

    async def on_start(self) -> None:
        """Connect, and have the client be patient from then on."""
        await super().on_start()
        patient(self._consumer, self._failed)

    def _failed(self) -> None:
        self._failed_at = time.monotonic()

    def unavailable(self) -> bool:
        """Whether no broker answered within the last minute that one was asked."""
        at = self._failed_at
        return at is not None and time.monotonic() - at < _UNAVAILABLE_S

    def _create_worker_consumer(self, transport: Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Hard-coded to 1500 ms in Faust: 423 ms median latency on a broker whose
        # long-poll is not woken by new records.
        consumer._fetch_max_wait_ms = self.app.fetch_wait_ms  # noqa: SLF001
        # A producer that aborts has said nothing.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        # Else the client would go to the first record without a word.
        consumer._auto_offset_reset = "none"  # noqa: SLF001
        commit = consumer.commit

        async def marked(offsets: Mapping[Any, Any]) -> None:
            await commit({tp: self._marked(tp, o.offset) for tp, o in offsets.items()})
            _COMMITTED.set(time.time())

        consumer.commit = marked
        return consumer

    def _marked(self, tp: Any, offset: int) -> OffsetAndMetadata:
        """An offset with the incarnation of the topic that it belongs to."""
        topic_id = self.app.topic_ids.get(tp.topic, "")
        return OffsetAndMetadata(offset, committed_in(topic_id))

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Go to what is committed; None where that was in another incarnation."""
        offsets: Mapping[TP, int | None] = await self.call_thread(self._seek_to_own)
        return offsets

    async def _seek_to_own(self) -> dict[TP, int | None]:
        consumer = self._ensure_consumer()
        offsets: dict[TP, int | None] = dict(await consumer.seek_to_committed())
        said = await consumer._coordinator.fetch_committed_offsets(  # noqa: SLF001
            list(offsets)
        )
        for tp, committed in said.items():
            if of_another(committed.metadata, self.app.topic_ids.get(tp.topic, "")):
                log.warning(
                    "%s was made again since %d was committed of partition %d: it is "
                    "read from its start, and what is decided is not decided again",
                    *(tp.topic, committed.offset, tp.partition),
                )
                REMADE.inc()
                offsets[tp] = None
        return offsets

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's own
        max_records: int | None = None,
    ) -> Fetched:
        """What one poll brings and, read in the same step, how far that reaches."""
        if not self.consumer.flow_active:
            return NOTHING
        try:
            records = await super()._fetch_records(
                consumer, active_partitions, timeout, max_records
            )
        except OffsetOutOfRangeError as error:
            await self._go_to_first(consumer, error.args[0])
            return NOTHING
        except NoOffsetForPartitionError as error:
            # A poll that began before a rebalance may hear of it: `perform_seek`
            # says where to begin, unless it was faster.
            await self._begin(consumer, error.args)
            return NOTHING
        return Fetched(records, self._reached())

    def _reached(self) -> dict[TP, int]:
        found = {tp: self.reached(tp) for tp in self.assignment()}
        return {tp: offset for tp, offset in found.items() if offset is not None}

    async def _begin(self, consumer: Any, places: Iterable[Any]) -> None:
        for tp, first in (await consumer.beginning_offsets(list(places))).items():
            if tp in consumer.assignment() and self.reached(tp) is None:
                consumer.seek(tp, first)

    async def _go_to_first(self, consumer: Any, lost: Mapping[Any, int]) -> None:
        """Resume at the first record there is: what has an output is not judged twice.

        A log that ends before our offset was truncated or made again, and what it
        holds instead of what we read is not known.
        """
        first = await consumer.beginning_offsets(list(lost))
        for tp, offset in lost.items():
            if offset < first[tp]:
                _DELETED.inc(first[tp] - offset)
                log.error(
                    "%s/%d: up to %d records from offset %d on were deleted before "
                    "they were read: raise the topic's retention.ms above what a "
                    "worker may be behind",
                    *(tp.topic, tp.partition, first[tp] - offset, offset),
                )
            else:
                log.error(
                    "%s/%d: the log ends before offset %d, up to which it was read: "
                    "it was truncated or made again, and is read from its first "
                    "record; what has its decision is passed over",
                    *(tp.topic, tp.partition, offset),
                )
            if tp in consumer.assignment():
                consumer.seek(tp, first[tp])

    def reached(self, tp: TP) -> int | None:
        """The offset that is fetched next; None where that is not known yet."""
        state = self._state(tp)
        return state.position if state and state.has_valid_position else None

    def ends(self, tp: TP) -> Ends | None:
        """Where the partition ended with its last fetch; None before the first."""
        state = self._state(tp)
        if state is None or state.highwater is None:
            return None
        # The embedded broker has no transactions, and says -1 or nothing.
        stable = state.lso if state.lso is not None and state.lso >= 0 else None
        return Ends(state.highwater if stable is None else stable, state.highwater)

    def _state(self, tp: TP) -> Any:
        subscription = self._ensure_consumer()._subscription.subscription  # noqa: SLF001
        assignment = subscription.assignment if subscription else None
        return assignment.state_value(tp) if assignment else None

    def missing(self, topics: Iterable[str]) -> list[str]:
        """Which of these topics the brokers do not have, as far as we have heard."""
        cluster = self._ensure_consumer()._client.cluster  # noqa: SLF001
        return [topic for topic in topics if not cluster.partitions_for_topic(topic)]

    def partitions_count(self, topic: str) -> int | None:
        """How many partitions a topic has, as far as we have heard."""
        cluster = self._ensure_consumer()._client.cluster  # noqa: SLF001
        return len(cluster.partitions_for_topic(topic) or ()) or None

    def ask_again(self) -> None:
        """Have the client ask the brokers for their topics now."""
        client = self._ensure_consumer()._client  # noqa: SLF001
        self.thread_loop.call_soon_threadsafe(client.force_metadata_update)
