"""ReportLabels: what turned out to be true, into the log or straight to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc

from scoring import wire
from scoring.adapters.grpc_intake import Caller, Intake
from scoring.adapters.grpc_status import Context, Refusal, Refused, refusal_of
from scoring.adapters.label_scores import LabelScores
from scoring.core.card_number import masked
from scoring.core.label import Label, validate_label
from scoring.errors import InvalidTransaction, RecordsRefused, ScoringError
from scoring.ports import DecisionLog, LabelledTransaction, LogRecord, Store, Telemetry
from scoring.topics import Topics, key_of
from scoring.v1 import fraud_scoring_pb2, transaction_pb2

LABELS_COUNT_MAX = 1_000
# None when a label is safe, else why it was refused.
Outcome = ScoringError | Refused | None


class LabelSink(Protocol):
    """Takes accepted labels; taking one twice changes nothing."""

    async def take(self, labels: Sequence[Label]) -> list[Outcome]:
        """One outcome a label: None when it is safe. Raises `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True)
class LogSink:
    """Appends labels to the labels topic; the stream worker applies them."""

    log: DecisionLog
    topics: Topics

    async def take(self, labels: Sequence[Label]) -> list[Outcome]:
        """Return when the log has acknowledged all that it ever takes."""
        try:
            await self.log.append([self._record(label) for label in labels])
        except RecordsRefused as error:
            return [error.refused.get(i) for i in range(len(labels))]
        return [None] * len(labels)

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

    store: Store
    telemetry: Telemetry

    async def take(self, labels: Sequence[Label]) -> list[Outcome]:
        """Apply those that bring their transaction; refuse the others."""
        joined = [
            LabelledTransaction(
                transaction=label.transaction,
                version=label.version,
                fraud=label.fraud,
                known_at_ms=label.known_at_ms,
            )
            for label in labels
            if label.transaction is not None
        ]
        if joined:
            await self.store.learn(joined)
            await LabelScores(self.store, self.telemetry).tell(joined)
        return [None if label.transaction else Refused(_UNJOINED) for label in labels]


_UNJOINED = Refusal(
    grpc.StatusCode.FAILED_PRECONDITION,
    "without a log this service cannot look the transaction up; send it along",
    "transaction",
)


@dataclass(frozen=True, slots=True)
class Labels:
    """The call that reports labels."""

    intake: Intake
    sink: LabelSink

    async def report(self, raw: bytes, context: Context) -> bytes:
        """ReportLabels: one result a label, in order."""
        caller = self.intake.caller(context, "ReportLabels")
        request = wire.message_from_bytes(
            raw, fraud_scoring_pb2.ReportLabelsRequest, wire.PROTOBUF
        )
        wire.refuse_unknown_fields(request, "request")
        if not 1 <= len(request.labels) <= LABELS_COUNT_MAX:
            raise InvalidTransaction(
                "labels", f"must hold 1 to {LABELS_COUNT_MAX} labels"
            )
        admitted = [self._admit(message, caller) for message in request.labels]
        accepted = [item for item in admitted if isinstance(item, Label)]
        async with asyncio.timeout_at(caller.deadline):
            taken = iter(await self.sink.take(accepted) if accepted else [])
        outcomes = [
            next(taken) if isinstance(item, Label) else item for item in admitted
        ]
        return _encoded(request.labels, outcomes)

    def _admit(
        self, message: transaction_pb2.Label, caller: Caller
    ) -> Label | ScoringError | Refused:
        try:
            if caller.identity:
                caller.identity.spend()
            label = wire.label_from_proto(message)
            validate_label(label, exempt=self.intake.exempt)
            if caller.identity:
                caller.identity.admit_lookup(label.tenant)
        except (ScoringError, Refused) as error:
            return error
        return label


def _encoded(
    messages: Sequence[transaction_pb2.Label],
    outcomes: Sequence[Outcome],
) -> bytes:
    response = fraud_scoring_pb2.ReportLabelsResponse()
    for message, outcome in zip(messages, outcomes, strict=True):
        shown, _ = masked(message.transaction_id.encode())
        result = response.results.add(transaction_id=shown.decode())
        if outcome is not None:
            result.error.CopyFrom(refusal_of(outcome).to_proto())
    return response.SerializeToString()
