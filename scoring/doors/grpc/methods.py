"""The methods of the gRPC service: bytes to the neutral calls, answers to bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from scoring import wire
from scoring.doors.calls.checks import BATCH_COUNT_MAX, refuse_count, result_to_bytes
from scoring.doors.calls.follow_ups import (
    REPORT_S,
    REPORTS_COUNT_MAX,
    event_results,
    label_results,
)
from scoring.doors.calls.lookups import EXPLANATION_S
from scoring.doors.calls.requests import Caller
from scoring.doors.calls.shared_calls import SharedCalls
from scoring.doors.grpc.call import Context, GrpcCall
from scoring.doors.grpc.check_stream import STREAM, Streams
from scoring.doors.grpc.status import method
from scoring.errors import InvalidTransaction, MessageTooLarge
from scoring.v1 import fraud_scoring_pb2

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class GrpcMethods:
    """Everything that can be called."""

    calls: SharedCalls
    streams: Streams

    def methods(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """By method name, over raw bytes."""

        async def stream(_requests: Any, context: Context) -> None:
            await self.streams.serve(context)

        unary = {
            "CheckTransaction": self.check,
            "BatchCheckTransactions": self.batch,
            "GetDecision": self.get,
            "ExplainDecision": self.explain,
            "ReportLabels": self.labels,
            "ReportEvents": self.events,
        }
        watch = self.calls.watch
        return {
            **{name: method(name, serve, watch) for name, serve in unary.items()},
            STREAM: grpc.stream_stream_rpc_method_handler(stream),
        }

    async def check(self, raw: bytes, context: Context) -> bytes:
        """CheckTransaction: the stored bytes, length-prefixed and never re-encoded."""
        bytes_max = self.calls.checks.message_bytes_max
        if len(raw) > bytes_max:
            raise MessageTooLarge(bytes_max)
        caller = self.calls.intake.caller(GrpcCall(context), "CheckTransaction")
        request = _parsed(raw, fraud_scoring_pb2.CheckTransactionRequest, "transaction")
        if not request.HasField("transaction"):
            raise InvalidTransaction("transaction", "is required")
        decision = await self.calls.checks.check(
            request.transaction, caller, dry_run=request.dry_run
        )
        return wire.field_to_bytes(1, decision)

    async def batch(self, raw: bytes, context: Context) -> bytes:
        """BatchCheckTransactions: one result a transaction, in order."""
        caller = self._caller(
            context, "BatchCheckTransactions", self.calls.checks.batch_budget_s
        )
        request = _parsed(
            raw, fraud_scoring_pb2.BatchCheckTransactionsRequest, "transaction"
        )
        messages = request.transactions
        refuse_count(len(messages), BATCH_COUNT_MAX, "transactions")
        answers = await self.calls.checks.batch(
            messages, caller, dry_run=request.dry_run
        )
        return b"".join(
            wire.field_to_bytes(1, result_to_bytes(message.id, answer))
            for message, answer in zip(messages, answers, strict=True)
        )

    async def get(self, raw: bytes, context: Context) -> bytes:
        """GetDecision: the recorded bytes and what became known since, or NOT_FOUND."""
        caller = self.calls.intake.caller(GrpcCall(context), "GetDecision")
        request = _parsed(raw, fraud_scoring_pb2.GetDecisionRequest)
        return await self.calls.lookups.life(
            request.tenant, request.transaction_id, caller
        )

    async def explain(self, raw: bytes, context: Context) -> bytes:
        """ExplainDecision: exact contributions for the recorded vector."""
        caller = self._caller(context, "ExplainDecision", EXPLANATION_S)
        request = _parsed(raw, fraud_scoring_pb2.ExplainDecisionRequest)
        explained = await self.calls.lookups.explain(
            request.tenant, request.transaction_id, caller
        )
        return explained.SerializeToString()

    async def labels(self, raw: bytes, context: Context) -> bytes:
        """ReportLabels: one result a label, in order."""
        caller = self._caller(context, "ReportLabels", REPORT_S)
        request = _parsed(raw, fraud_scoring_pb2.ReportLabelsRequest)
        refuse_count(len(request.labels), REPORTS_COUNT_MAX, "labels")
        outcomes = await self.calls.follow_ups.report(
            request.labels, caller, "ReportLabels"
        )
        ids = [label.transaction_id for label in request.labels]
        return label_results(ids, outcomes).SerializeToString()

    async def events(self, raw: bytes, context: Context) -> bytes:
        """ReportEvents: one result an event, in order."""
        caller = self._caller(context, "ReportEvents", REPORT_S)
        request = _parsed(raw, fraud_scoring_pb2.ReportEventsRequest)
        refuse_count(len(request.events), REPORTS_COUNT_MAX, "events")
        outcomes = await self.calls.follow_ups.report(
            request.events, caller, "ReportEvents"
        )
        ids = [(event.transaction_id, event.event_id) for event in request.events]
        return event_results(ids, outcomes).SerializeToString()

    def _caller(self, context: Context, name: str, budget_s: float) -> Caller:
        return self.calls.intake.caller(GrpcCall(context), name, budget_s=budget_s)


def _parsed(raw: bytes, kind: type[M], path: str = "request") -> M:
    request = wire.message_from_bytes(raw, kind, wire.PROTOBUF)
    wire.refuse_unknown_fields(request, path)
    return request
