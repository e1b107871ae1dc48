"""Builds the stream door: what is done with transactions and with labels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from aiokafka.errors import KafkaError

from scoring.doors.stream.dead_letters import LetterWriter
from scoring.doors.stream.faust_app import StreamOptions, stream_until
from scoring.doors.stream.follow_ups import FollowUpWork
from scoring.doors.stream.output_dedup import Outputs, OutputTail
from scoring.doors.stream.partition_queue import end_process
from scoring.doors.stream.records import KafkaIntake
from scoring.doors.stream.stall_detector import Progress
from scoring.doors.stream.transaction_lookup import LogSearch, PaymentArchive
from scoring.doors.stream.transactions import POLL_PACING, PollDecider, TransactionWork
from scoring.errors import LogUnavailable
from scoring.kafka.client_options import client_options
from scoring.kafka.decision_records import DecisionRecords
from scoring.kafka.producer import KafkaLog
from scoring.kafka.readiness import TopicsAwaited
from scoring.kafka.record_values import transaction_id_of
from scoring.kafka.topic_admin import TopicAdmin
from scoring.kafka.topic_incarnation import short
from scoring.kafka.topic_layout import TopicDescription
from scoring.pipeline.follow_ups import FollowUps, Reported
from scoring.pipeline.micro_batcher import MicroBatcher
from scoring.pipeline.scorer import Scorer
from scoring.ports.spans import Traces
from scoring.ports.store import Store
from scoring.ports.telemetry import Telemetry
from scoring.telemetry.http_port import Liveness

__all__ = ["StreamDoor", "StreamOptions"]
_WATCH_S = 5.0


class Remade(Exception):
    """An input topic was deleted and made again."""


@dataclass(frozen=True, slots=True)
class StreamDoor:
    """Everything the stream door needs; `run` opens it."""

    options: StreamOptions
    scorer: Scorer
    store: Store
    log: KafkaLog
    telemetry: Telemetry
    liveness: Liveness
    archive: PaymentArchive | None = None
    traces: Traces | None = None

    async def run(
        self, told: Callable[[], Awaitable[object]], *, ready: Callable[[], None]
    ) -> None:
        """Judge and learn until told to stop; see `stream_until`.

        Without a broker, or its topics, it waits for them. Raises `BadArtifact` for
        topics on which a guarantee cannot hold.
        """
        progress = Progress()
        self.liveness.fault = progress.fault
        stop = asyncio.ensure_future(told())
        try:
            found = await self._found_topics(stop, progress)
            if not found:
                await stop  # raises where a setting is wrong
                return
            await self._stream(found, stop, progress, ready)
        finally:
            stop.cancel()

    async def _stream(
        self,
        found: Mapping[str, TopicDescription],
        stop: asyncio.Future[object],
        progress: Progress,
        ready: Callable[[], None],
    ) -> None:
        topic_ids = {name: topic.id for name, topic in found.items()}
        watch = asyncio.ensure_future(self._watch_topics(topic_ids))
        try:
            await stream_until(
                lambda: stop,
                {
                    self.options.topics.transactions: self._transactions(
                        progress, found
                    ),
                    **self._follow_ups(progress, found),
                },
                progress=progress,
                options=replace(self.options, topic_ids=topic_ids),
                ready=ready,
            )
        finally:
            watch.cancel()

    async def _watch_topics(self, topic_ids: Mapping[str, str]) -> None:
        """End the process once an input is another topic: its positions mean nothing.

        What was committed meanwhile bears the old id, so that the next process goes
        to the start.
        """
        topics = self.options.topics
        inputs = [t for t in topics.inputs if topic_ids[t]]
        while inputs:
            await asyncio.sleep(_WATCH_S)
            with suppress(LogUnavailable, KafkaError, OSError):
                async with self._admin() as admin:
                    now = await admin.ids(inputs)
                for topic in inputs:
                    if now.get(topic, topic_ids[topic]) != topic_ids[topic]:
                        end_process(Remade(f"{topic} was made again"))

    def _admin(self) -> TopicAdmin:
        return TopicAdmin(self.options.bootstrap, client_options(self.options.client))

    async def _found_topics(
        self, stop: asyncio.Future[object], progress: Progress
    ) -> dict[str, TopicDescription]:
        """The topics, as soon as they are there; nothing when told to stop before."""

        def waits(missing: str) -> None:
            self.liveness.waits_for = missing

        waiting = TopicsAwaited(
            self.options.bootstrap,
            client_options(self.options.client),
            self.options.topics,
            self.log.contact,
            waits,
        )
        # A client that waits for its broker is no fault.
        found = await waiting.found(stop, still=lambda: progress.stalled(0))
        self.liveness.waits_for = "its partitions"
        return found

    def _outputs(
        self, progress: Progress, letters: str, decisions: str | None = None
    ) -> Outputs:
        tail = OutputTail(
            bootstrap=self.options.bootstrap,
            options=client_options(self.options.client),
            fetch_wait_ms=self.options.fetch_wait_ms,
            # A broker with an idempotent producer is a real Kafka.
            ends_exact=self.log.idempotent,
            forward=progress.forward,
        )
        if decisions is None:
            return Outputs(tail, [(letters, True)])
        return Outputs(tail, [(decisions, False), (letters, True)], transaction_id_of)

    def intake(self) -> KafkaIntake:
        """What admits records, for this door's limits."""
        return KafkaIntake(
            message_bytes_max=self.options.message_bytes_max,
            skew_ms=self.options.skew_ms,
            exempt=self.options.exempt,
            telemetry=self.telemetry,
        )

    def records(self) -> DecisionRecords:
        """What makes the records of this door's decisions."""
        options, catalogue = self.options, self.scorer.artifacts.catalogue
        return DecisionRecords(options.topics, options.content_type, catalogue)

    def _transactions(
        self, progress: Progress, found: Mapping[str, TopicDescription]
    ) -> TransactionWork:
        topics = self.options.topics
        return TransactionWork(
            batcher=MicroBatcher(PollDecider(self.scorer), POLL_PACING),
            log=self.log,
            outputs=self._outputs(
                progress, topics.transactions_dead_letter, topics.decisions
            ),
            intake=replace(
                self.intake(),
                incarnation=short(found[topics.transactions].id),
                traces=self.traces,
            ),
            telemetry=self.telemetry,
            progress=progress,
            records=self.records(),
            letters=self._letters(
                "transactions", found[topics.transactions_dead_letter]
            ),
        )

    def _letters(self, source: str, topic: TopicDescription) -> LetterWriter:
        return LetterWriter(
            source=source,
            topic=topic.name,
            content_type=self.options.content_type,
            telemetry=self.telemetry,
            bytes_max=topic.record_bytes_max,
        )

    def _follow_ups(
        self, progress: Progress, found: Mapping[str, TopicDescription]
    ) -> dict[str, FollowUpWork]:
        """What is done with labels and with lifecycle events, by their topics.

        One search looks for the payments of both.
        """
        topics, intake = self.options.topics, self.intake()
        search = LogSearch(
            bootstrap=self.options.bootstrap,
            options=client_options(self.options.client),
            topic=topics.decisions,
            fetch_wait_ms=self.options.fetch_wait_ms,
            progress=progress,
            archive=self.archive,
        )

        def work(
            source: str, admit: Callable[[Any], Reported], letters: str
        ) -> FollowUpWork:
            return FollowUpWork(
                follow_ups=FollowUps(self.store, self.store, self.telemetry),
                admit=admit,
                letters=self._letters(source, found[letters]),
                search=search,
                log=self.log,
                outputs=self._outputs(progress, letters),
                telemetry=self.telemetry,
                progress=progress,
            )

        return {
            topics.labels: work("labels", intake.label, topics.labels_dead_letter),
            topics.events: work("events", intake.event, topics.events_dead_letter),
        }
