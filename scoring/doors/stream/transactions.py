"""What the stream door does with one poll of transactions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any

from scoring.doors.stream.admission import Patience, Revoked, admitted
from scoring.doors.stream.dead_letters import LetterWriter, is_refusal
from scoring.doors.stream.input_fingerprint import source_headers
from scoring.doors.stream.output_dedup import Outputs
from scoring.doors.stream.poll_consumer import Poll
from scoring.doors.stream.records import KafkaIntake
from scoring.doors.stream.stall_detector import Progress
from scoring.errors import RecordsRefused, ScoringError
from scoring.kafka.decision_records import CameFrom, DecisionRecords
from scoring.pipeline.answer import Answer
from scoring.pipeline.micro_batcher import MicroBatcher, Pacing
from scoring.pipeline.scorer import Scorer
from scoring.ports.check import Check
from scoring.ports.log import DecisionLog, LogRecord
from scoring.ports.telemetry import Telemetry

# Partitions' polls are large: while some wait for the store, others are decided.
POLL_PACING = Pacing(full_in_flight_max=4)


@dataclass(frozen=True, slots=True)
class PollDecider:
    """Decides micro-batches of whole polls: the `MicroBatcher`'s decider.

    Nobody waits for them, so none is refused, shortened or degraded: without the
    store it raises `StoreUnavailable`.
    """

    scorer: Scorer

    async def decide(
        self, checks: Sequence[Check], slot: AbstractContextManager[object]
    ) -> list[Answer]:
        """One answer a check, in order."""
        with slot:
            return await self.scorer.score_many(checks)

    def abandon(self, checks: Sequence[Check]) -> None:
        """Kafka delivers them again."""


@dataclass(slots=True, kw_only=True)
class TransactionWork:
    """Judges, and writes what the output lacks: a decision or a dead letter each.

    Without the store it waits, and degrades nothing: nobody is waiting for it.
    """

    batcher: MicroBatcher
    log: DecisionLog
    outputs: Outputs
    intake: KafkaIntake
    telemetry: Telemetry
    progress: Progress
    records: DecisionRecords
    letters: LetterWriter

    async def __call__(self, poll: Poll) -> None:
        """Finish one poll; leave it unfinished where it was revoked meanwhile."""
        with suppress(Revoked):
            await self._finish(poll)

    async def _finish(self, poll: Poll) -> None:
        missing = await self.outputs.missing(poll)
        judged = admitted(missing, self.intake.check)
        checks = [item for _, item in judged if isinstance(item, Check)]
        decided = iter(await self._answers(poll, checks))
        outputs = [
            self._output(
                record, item, next(decided) if isinstance(item, Check) else item
            )
            for record, item in judged
        ]
        records = [record for record, _ in judged]
        await self._append(poll, records, outputs)
        poll.finished = True
        self.progress.judged(missing)
        if self.intake.traces is not None:
            self._end_spans(judged)

    async def _answers(self, poll: Poll, checks: list[Check]) -> list[Answer]:
        """One answer a check; raises `Revoked`."""
        if not checks:
            return []
        return await Patience(self.telemetry, self.progress).outlast(
            poll, lambda: self.batcher.answers(checks)
        )

    async def _append(
        self, poll: Poll, inputs: Sequence[Any], outputs: Sequence[LogRecord | None]
    ) -> None:
        """Append them; an input whose output the log never takes gets a letter.

        Raises `Revoked`.
        """
        patience = Patience(self.telemetry, self.progress)
        answered = [
            (i, o) for i, o in zip(inputs, outputs, strict=True) if o is not None
        ]
        try:
            await patience.acknowledged(
                poll, self.log.append([output for _, output in answered])
            )
        except RecordsRefused as refused:
            letters = [
                self.letters.letter(answered[i][0], error)
                for i, error in refused.refused.items()
            ]
            await patience.acknowledged(poll, self.log.append(letters))

    def _output(
        self, record: Any, item: Check | ScoringError, answer: Answer
    ) -> LogRecord | None:
        """The record that answers one input; None where another input's call did."""
        if isinstance(answer, ScoringError):
            if not is_refusal(answer):
                raise answer
            return self.letters.letter(record, answer)
        assert isinstance(item, Check)
        if answer.logged is None:
            return None
        came_from = CameFrom(record.partition, source_headers(record))
        made = self.records.record(answer.logged, item.transaction, came_from)
        if item.span is None:
            return made.carrying(item.traceparent)
        item.span.publish = item.span.publishing()
        return made.carrying(item.span.publish.traceparent)

    def _end_spans(self, judged: Sequence[tuple[Any, Check | ScoringError]]) -> None:
        """What came of each is in the log; a refused one has a span of no length."""
        for record, item in judged:
            if isinstance(item, Check):
                span = item.span
            else:
                span = self.intake.span(record)
                if span is not None:
                    span.problem = item.code
            if span is not None:
                if span.publish is not None:
                    span.publish.ended()
                span.ended("")
