"""What the stream door does with one poll of transactions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scoring.adapters.dead_letters import is_refusal, letter_record
from scoring.adapters.kafka_delivery import Poll
from scoring.adapters.kafka_intake import KafkaIntake
from scoring.adapters.kafka_progress import Progress
from scoring.adapters.kafka_watermark import Outputs
from scoring.answer import Answer
from scoring.errors import ScoringError, StoreUnavailable
from scoring.ports import Check, DecisionLog, LogRecord, Telemetry
from scoring.scorer import Scorer
from scoring.topics import Topics, decision_record

log = logging.getLogger(__name__)
_STORE_RETRY_S = 0.2


@dataclass(slots=True, kw_only=True)
class TransactionWork:
    """Judges, and writes what the output lacks: a decision or a dead letter each.

    Without the store it waits, and degrades nothing: nobody is waiting for it.
    """

    scorer: Scorer
    log: DecisionLog
    outputs: Outputs
    intake: KafkaIntake
    telemetry: Telemetry
    progress: Progress
    topics: Topics
    content_type: str

    async def __call__(self, poll: Poll) -> None:
        """Finish one poll; leave it unfinished where it was revoked meanwhile."""
        missing = await self.outputs.missing(poll)
        admitted = [(record, self._admitted(record)) for record in missing]
        checks = [item for _, item in admitted if isinstance(item, Check)]
        answers = await self._answers(poll, checks)
        if answers is None or poll.revoked:
            return
        decided = iter(answers)
        outputs = [
            self._output(
                record, item, next(decided) if isinstance(item, Check) else item
            )
            for record, item in admitted
        ]
        await self.log.append([output for output in outputs if output is not None])
        poll.finished = True
        self.progress.judged(missing)

    def _admitted(self, record: Any) -> Check | ScoringError:
        try:
            return self.intake.check(record)
        except ScoringError as error:
            return error

    async def _answers(
        self, poll: Poll, checks: Sequence[Check]
    ) -> list[Answer] | None:
        """One answer a check; waits for the store; None where the poll was revoked."""
        waited = False
        while not poll.revoked:
            try:
                if not checks:
                    return []
                answers = await self.scorer.score_many(checks, wait_for_store=True)
            except StoreUnavailable:
                if not waited:
                    log.warning("no store: the stream waits, nothing is degraded")
                    self.telemetry.count("stream_waited")
                waited = True
                self.progress.forward()
                await asyncio.sleep(_STORE_RETRY_S)
                continue
            return answers
        return None

    def _output(
        self, record: Any, item: Check | ScoringError, answer: Answer
    ) -> LogRecord | None:
        """The record that answers one input; None where another input's call did."""
        if isinstance(answer, ScoringError):
            if not is_refusal(answer):
                raise answer
            self.telemetry.count("dead_letter")
            return letter_record(
                record,
                answer,
                topic=self.topics.transactions_dead_letter,
                content_type=self.content_type,
            )
        assert isinstance(item, Check)
        if answer.logged is None:
            return None
        return decision_record(
            self.topics,
            answer.logged,
            item.transaction,
            content_type=self.content_type,
            source=(record.partition, record.offset),
        )
