"""Labels: what turned out to be true, into the log or straight to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scoring import wire
from scoring.core.transaction.label import Label, validate_label
from scoring.doors.calls.refusals import refusal_of, shown_id
from scoring.doors.calls.requests import Caller, Intake
from scoring.errors import (
    DeadlineExceeded,
    RecordsRefused,
    ScoringError,
    StoreUnavailable,
    Unavailable,
    UnknownTransaction,
)
from scoring.kafka.topic_names import Topics, key_of
from scoring.pipeline.labels import Labelling
from scoring.ports.log import DecisionLog, LogRecord
from scoring.v1 import fraud_scoring_pb2, transaction_pb2

LABELS_COUNT_MAX = 1_000
# So many share an exchange with the store, and an append: others have their turns.
_PART_LABELS = 250
# Nobody pays meanwhile; a caller that says nothing waits at most so long.
REPORT_S = 10.0
# The end of a caller's time that is kept for saying what stands.
_REPLY_SHARE, _REPLY_S = 0.2, 0.5
_JUDGED_S = 1.0  # a store that takes longer is not waited for where there is a log
# None when a label is safe, else why it was refused.
Outcome = ScoringError | None
# A label as sent, or why there is none.
LabelItem = transaction_pb2.Label | ScoringError

_NOT_KNOWN = DeadlineExceeded(
    "the log did not acknowledge it in time; report it again, it counts once"
)


class LabelSink(Protocol):
    """Takes accepted labels; taking one twice changes nothing."""

    async def take(self, labels: Sequence[Label], *, within_s: float) -> list[Outcome]:
        """One outcome a label: None when it is safe. Raises `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class LogSink:
    """Appends labels to the labels topic; the stream worker applies them.

    What the record tells is judged before. Without the store everything is appended,
    and judged by the worker; so is a payment that the record does not hold.
    """

    log: DecisionLog
    topics: Topics
    labelling: Labelling

    async def take(self, labels: Sequence[Label], *, within_s: float) -> list[Outcome]:
        """Return when the log has acknowledged those that are not refused."""
        outcomes = await self._judged(labels, min(within_s / 2, _JUDGED_S))
        taken = [i for i, error in enumerate(outcomes) if error is None]
        try:
            await self.log.append([self._record(labels[i]) for i in taken])
        except RecordsRefused as error:
            for place, why in error.refused.items():
                outcomes[taken[place]] = why
        return outcomes

    async def _judged(self, labels: Sequence[Label], within_s: float) -> list[Outcome]:
        try:
            async with asyncio.timeout(within_s):
                joined = await self.labelling.joined(labels)
                outcomes = await self.labelling.attest(joined)
        except (StoreUnavailable, TimeoutError):
            return [None] * len(labels)
        return [None if isinstance(e, UnknownTransaction) else e for e in outcomes]

    def _record(self, label: Label) -> LogRecord:
        return LogRecord(
            topic=self.topics.labels,
            key=key_of(label.transaction) if label.transaction else None,
            value=wire.label_to_proto(label).SerializeToString(deterministic=True),
            headers=(
                ("content-type", wire.PROTOBUF.encode()),
                ("transaction-id", label.transaction_id.encode()),
            ),
        )


@dataclass(frozen=True, slots=True)
class StoreSink:
    """Applies labels itself, where there is no log."""

    labelling: Labelling

    async def take(self, labels: Sequence[Label], *, within_s: float) -> list[Outcome]:
        """Apply those whose payment is recorded or sent along; refuse the others."""
        joined = await self.labelling.joined(labels, timeout_s=within_s)
        return [*await self.labelling.learn(joined, timeout_s=within_s)]


@dataclass(frozen=True, slots=True)
class Labels:
    """Takes the labels of one call."""

    intake: Intake
    sink: LabelSink

    async def report(self, items: Sequence[LabelItem], caller: Caller) -> list[Outcome]:
        """One outcome an item, in order; `caller` within `REPORT_S`."""
        admitted = [self._admit(item, caller) for item in items]
        accepted = [item for item in admitted if isinstance(item, Label)]
        taken = iter(await self._taken(accepted, caller.deadline))
        return [next(taken) if isinstance(item, Label) else item for item in admitted]

    async def _taken(self, labels: Sequence[Label], deadline: float) -> list[Outcome]:
        """One outcome a label, part by part; told while somebody still waits for it.

        Raises `Unavailable` where nothing at all was taken.
        """
        left_s = deadline - self.intake.monotonic()
        ends = deadline - min(left_s * _REPLY_SHARE, _REPLY_S)
        outcomes: list[Outcome] = []
        while len(outcomes) < len(labels):
            part = labels[len(outcomes) : len(outcomes) + _PART_LABELS]
            within_s = max(ends - self.intake.monotonic(), 0.0)
            try:
                async with asyncio.timeout(within_s):
                    outcomes += await self.sink.take(part, within_s=within_s)
            except TimeoutError:
                return outcomes + [_NOT_KNOWN] * (len(labels) - len(outcomes))
            except Unavailable as error:
                if not outcomes:
                    raise
                return outcomes + [error] * (len(labels) - len(outcomes))
        return outcomes

    def _admit(self, item: LabelItem, caller: Caller) -> Label | ScoringError:
        if isinstance(item, ScoringError):
            return item
        try:
            if caller.identity:
                caller.identity.spend()
            label = wire.label_from_proto(item)
            validate_label(
                label,
                received_at_ms=self.intake.now_ms(),
                skew_ms=self.intake.skew_ms,
                exempt=self.intake.exempt,
            )
            if caller.identity:
                caller.identity.admit_lookup(label.tenant)
        except ScoringError as error:
            return error
        return label


def results_of(
    ids: Sequence[str], outcomes: Sequence[Outcome]
) -> fraud_scoring_pb2.ReportLabelsResponse:
    """What became of each label, beside its transaction's id as sent."""
    response = fraud_scoring_pb2.ReportLabelsResponse()
    for id_, outcome in zip(ids, outcomes, strict=True):
        result = response.results.add(transaction_id=shown_id(id_))
        if outcome is not None:
            result.error.CopyFrom(refusal_of(outcome).to_proto())
    return response
