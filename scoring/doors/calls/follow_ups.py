"""Follow-ups that a caller reports: admitted one by one, and kept safe in parts.

What a door that answers (gRPC, HTTP) does with labels and lifecycle events, whatever
its transport: into the log or, where there is none, straight to the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from scoring import wire
from scoring.core.transaction.label import validate_label
from scoring.core.transaction.lifecycle import event_known, validate_event
from scoring.doors.calls.call_watch import CallWatch
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
from scoring.kafka.follow_up_records import follow_up_record
from scoring.kafka.topic_names import Topics
from scoring.pipeline.follow_ups import FollowUps, Reported
from scoring.ports.log import DecisionLog
from scoring.v1 import fraud_scoring_pb2, transaction_pb2

REPORTS_COUNT_MAX = 1_000
# Nobody pays meanwhile; a caller that says nothing waits at most so long.
REPORT_S = 10.0
# So many share an exchange with the store, and an append: others have their turns.
_PART_COUNT = 250
# The end of a caller's time that is kept for saying what is recorded.
_REPLY_SHARE, _REPLY_S = 0.2, 0.5
_JUDGED_S = 1.0  # a store that takes longer is not waited for where there is a log
# None when a follow-up is safe, else why it was refused.
Outcome = ScoringError | None
Message = transaction_pb2.Label | transaction_pb2.LifecycleEvent
# A follow-up as sent, or why there is none.
FollowUpItem = Message | ScoringError

_NOT_KNOWN = DeadlineExceeded(
    "the log did not acknowledge it in time; report it again, it counts once"
)


class FollowUpSink(Protocol):
    """Takes accepted follow-ups; taking one twice changes nothing."""

    async def take(
        self, reported: Sequence[Reported], *, within_s: float
    ) -> list[Outcome]:
        """One outcome each: None when it is safe. Raises `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class LogSink:
    """Appends follow-ups to their topics; the stream worker applies them.

    What the record tells is judged before. Without the store everything is appended,
    and judged by the worker; so is a payment that the record does not hold.
    """

    log: DecisionLog
    topics: Topics
    follow_ups: FollowUps

    async def take(
        self, reported: Sequence[Reported], *, within_s: float
    ) -> list[Outcome]:
        """Return when the log has acknowledged those that are not refused."""
        outcomes = await self._judged(reported, min(within_s / 2, _JUDGED_S))
        taken = [i for i, error in enumerate(outcomes) if error is None]
        try:
            await self.log.append(
                [follow_up_record(self.topics, reported[i]) for i in taken]
            )
        except RecordsRefused as error:
            for place, why in error.refused.items():
                outcomes[taken[place]] = why
        return outcomes

    async def _judged(
        self, reported: Sequence[Reported], within_s: float
    ) -> list[Outcome]:
        try:
            async with asyncio.timeout(within_s):
                joined = await self.follow_ups.joined(reported)
                outcomes = await self.follow_ups.attest(joined)
        except (StoreUnavailable, TimeoutError):
            return [None] * len(reported)
        return [None if isinstance(e, UnknownTransaction) else e for e in outcomes]


@dataclass(frozen=True, slots=True)
class StoreSink:
    """Applies follow-ups itself, where there is no log."""

    follow_ups: FollowUps

    async def take(
        self, reported: Sequence[Reported], *, within_s: float
    ) -> list[Outcome]:
        """Apply those whose payment is recorded or sent along; refuse the others."""
        joined = await self.follow_ups.joined(reported, timeout_s=within_s)
        return [*await self.follow_ups.learn(joined, timeout_s=within_s)]


@dataclass(frozen=True, slots=True)
class FollowUpDesk:
    """Where callers report: each follow-up is admitted and has its own outcome."""

    intake: Intake
    sink: FollowUpSink
    watch: CallWatch

    async def report(
        self, items: Sequence[FollowUpItem], caller: Caller, method: str
    ) -> list[Outcome]:
        """One outcome an item, in order; `caller` within `REPORT_S`.

        Raises `Unavailable` where nothing at all was taken.
        """
        outcomes = await self._outcomes(items, caller)
        for outcome in outcomes:
            if outcome is not None:
                self.watch.refused(caller.door, method, outcome, caller.peer)
        return outcomes

    async def _outcomes(
        self, items: Sequence[FollowUpItem], caller: Caller
    ) -> list[Outcome]:
        admitted = [self._admit(item, caller) for item in items]
        accepted = [item for item in admitted if not isinstance(item, ScoringError)]
        taken = iter(await self._taken(accepted, caller.deadline))
        return [
            item if isinstance(item, ScoringError) else next(taken) for item in admitted
        ]

    async def _taken(
        self, reported: Sequence[Reported], deadline: float
    ) -> list[Outcome]:
        """One outcome each, part by part; told while somebody still waits for it."""
        left_s = deadline - self.intake.monotonic()
        ends = deadline - min(left_s * _REPLY_SHARE, _REPLY_S)
        outcomes: list[Outcome] = []
        while len(outcomes) < len(reported):
            part = reported[len(outcomes) : len(outcomes) + _PART_COUNT]
            within_s = max(ends - self.intake.monotonic(), 0.0)
            try:
                async with asyncio.timeout(within_s):
                    outcomes += await self.sink.take(part, within_s=within_s)
            except TimeoutError:
                return outcomes + [_NOT_KNOWN] * (len(reported) - len(outcomes))
            except Unavailable as error:
                if not outcomes:
                    raise
                return outcomes + [error] * (len(reported) - len(outcomes))
        return outcomes

    def _admit(self, item: FollowUpItem, caller: Caller) -> Reported | ScoringError:
        if isinstance(item, ScoringError):
            return item
        try:
            if caller.identity:
                caller.identity.spend()
            reported = self._read(item)
            if caller.identity:
                caller.identity.admit_lookup(reported.tenant)
        except ScoringError as error:
            return error
        return reported

    def _read(self, message: Message) -> Reported:
        intake, received_at_ms = self.intake, self.intake.now_ms()
        limits = {"received_at_ms": received_at_ms, "skew_ms": intake.skew_ms}
        if isinstance(message, transaction_pb2.Label):
            label = wire.label_from_proto(message)
            validate_label(label, **limits, exempt=intake.exempt)
            return label
        event = wire.event_from_proto(message)
        validate_event(event, **limits, exempt=intake.exempt)
        return event_known(event, received_at_ms)


def label_results(
    ids: Sequence[str], outcomes: Sequence[Outcome]
) -> fraud_scoring_pb2.ReportLabelsResponse:
    """What became of each label, beside its transaction's id as sent."""
    response = fraud_scoring_pb2.ReportLabelsResponse()
    for id_, outcome in zip(ids, outcomes, strict=True):
        result = response.results.add(transaction_id=shown_id(id_))
        if outcome is not None:
            result.error.CopyFrom(refusal_of(outcome).to_proto())
    return response


def event_results(
    ids: Sequence[tuple[str, str]], outcomes: Sequence[Outcome]
) -> fraud_scoring_pb2.ReportEventsResponse:
    """What became of each event, beside its transaction's id and its own, as sent."""
    response = fraud_scoring_pb2.ReportEventsResponse()
    for (id_, event_id), outcome in zip(ids, outcomes, strict=True):
        result = response.results.add(
            transaction_id=shown_id(id_), event_id=shown_id(event_id)
        )
        if outcome is not None:
            result.error.CopyFrom(refusal_of(outcome).to_proto())
    return response
