"""The routes of the HTTP door: JSON to the neutral calls, answers to JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from scoring import wire
from scoring.doors.calls.checks import (
    BATCH_COUNT_MAX,
    BATCH_MESSAGES,
    refuse_count,
    refused_result,
)
from scoring.doors.calls.follow_ups import (
    REPORT_S,
    REPORTS_COUNT_MAX,
    Outcome,
    event_results,
    label_results,
)
from scoring.doors.calls.lookups import EXPLANATION_S
from scoring.doors.calls.refusals import refusal_of
from scoring.doors.calls.requests import Caller
from scoring.doors.calls.shared_calls import SharedCalls
from scoring.doors.http.request import HttpRequest, flag
from scoring.errors import ScoringError
from scoring.pipeline.answer import Answer, Decided
from scoring.v1 import fraud_scoring_pb2, transaction_pb2

M = TypeVar("M", bound=Message)
Endpoint = Callable[[HttpRequest], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class HttpMethods:
    """Everything that can be called; each answers the JSON of its response."""

    calls: SharedCalls
    catalogue: wire.FeatureNames

    def endpoints(self) -> dict[str, Endpoint]:
        """By the name of the method that each is through gRPC."""
        return {
            "CheckTransaction": self.check,
            "BatchCheckTransactions": self.batch,
            "GetDecision": self.get,
            "ExplainDecision": self.explain,
            "ReportLabels": self.labels,
            "ReportEvents": self.events,
        }

    async def check(self, request: HttpRequest) -> bytes:
        """CheckTransaction: the stored decision; of a repeat, the same bytes."""
        dry_run = flag(request.query("dry_run").get("dry_run"), "dry_run")
        raw, caller = await self._received(request, "CheckTransaction")
        transaction = wire.message_from_bytes(
            raw, transaction_pb2.Transaction, wire.JSON
        )
        decision = await self.calls.checks.check(transaction, caller, dry_run=dry_run)
        return b'{"decision":' + self._decided(decision) + b"}"

    async def batch(self, request: HttpRequest) -> bytes:
        """BatchCheckTransactions: one result a transaction, in order."""
        request.query()
        raw, caller = await self._received(
            request,
            "BatchCheckTransactions",
            self.calls.checks.batch_budget_s,
            many=True,
        )
        kind = fraud_scoring_pb2.BatchCheckTransactionsRequest
        said, rest = _listed(raw, kind, "transactions")
        refuse_count(len(said), BATCH_COUNT_MAX, "transactions")
        answers = await self.calls.checks.batch(
            _items(said, transaction_pb2.Transaction), caller, dry_run=rest.dry_run
        )
        ids = [_text(item, "id") for item in said]
        results = map(self._result, ids, answers)
        return b'{"results":[' + b",".join(results) + b"]}"

    async def get(self, request: HttpRequest) -> bytes:
        """GetDecision: the recorded decision, and what became known since."""
        tenant = request.query("tenant").get("tenant", "")
        caller = self.calls.intake.caller(request, "GetDecision")
        id_ = request.path["transaction_id"]
        life = fraud_scoring_pb2.GetDecisionResponse.FromString(
            await self.calls.lookups.life(tenant, id_, caller)
        )
        decision = self._decided(life.decision.SerializeToString(deterministic=True))
        life.ClearField("decision")
        since = _json(life)[1:]
        return b'{"decision":' + decision + (b"," if since != b"}" else b"") + since

    async def explain(self, request: HttpRequest) -> bytes:
        """ExplainDecision: exact contributions for the recorded vector."""
        tenant = request.query("tenant").get("tenant", "")
        caller = self.calls.intake.caller(
            request, "ExplainDecision", budget_s=EXPLANATION_S
        )
        id_ = request.path["transaction_id"]
        return _json(await self.calls.lookups.explain(tenant, id_, caller))

    async def labels(self, request: HttpRequest) -> bytes:
        """ReportLabels: one result a label, in order."""
        kind = fraud_scoring_pb2.ReportLabelsRequest
        said, outcomes = await self._reported(request, kind, transaction_pb2.Label)
        return _json(label_results([_id(item) for item in said], outcomes))

    async def events(self, request: HttpRequest) -> bytes:
        """ReportEvents: one result an event, in order."""
        kind = fraud_scoring_pb2.ReportEventsRequest
        said, outcomes = await self._reported(
            request, kind, transaction_pb2.LifecycleEvent
        )
        ids = [(_id(item), _text(item, "eventId", "event_id")) for item in said]
        return _json(event_results(ids, outcomes))

    async def _reported(
        self,
        request: HttpRequest,
        kind: type[Message],
        item: type[transaction_pb2.Label | transaction_pb2.LifecycleEvent],
    ) -> tuple[Sequence[Any], list[Outcome]]:
        """What was said of each follow-up, and what became of it."""
        request.query()
        method = kind.DESCRIPTOR.name.removesuffix("Request")
        raw, caller = await self._received(request, method, REPORT_S, many=True)
        field = kind.DESCRIPTOR.fields[0].name
        said, _ = _listed(raw, kind, field)
        refuse_count(len(said), REPORTS_COUNT_MAX, field)
        items = list(_items(said, item))
        return said, await self.calls.follow_ups.report(items, caller, method)

    def _result(self, transaction_id: str, answer: Answer) -> bytes:
        if not isinstance(answer, Decided):
            return _json(refused_result(transaction_id, refusal_of(answer)))
        id_ = _json(fraud_scoring_pb2.CheckResult(transaction_id=transaction_id))
        return id_[:-1] + b',"decision":' + self._decided(answer.decision) + b"}"

    def _decided(self, decision: bytes) -> bytes:
        """The JSON of a decision; equal bytes give equal JSON."""
        return wire.decision_to_json(decision, self.catalogue)

    async def _received(
        self,
        request: HttpRequest,
        method: str,
        budget_s: float | None = None,
        *,
        many: bool = False,
    ) -> tuple[bytes, Caller]:
        """The content and its caller, who is known before any of it is read.

        Our own budget begins when it is there, the caller's time with its headers.
        """
        intake = self.calls.intake
        caller = intake.stream_caller(request, method)
        bytes_max = self.calls.checks.message_bytes_max
        raw = await request.content(bytes_max * BATCH_MESSAGES if many else bytes_max)
        return raw, intake.within(
            caller, intake.budget_s if budget_s is None else budget_s
        )


def _listed(raw: bytes, kind: type[M], field: str) -> tuple[Sequence[Any], M]:
    """The items of a request's list as they are said, and the request without them.

    So an item that is wrong is refused by itself.
    """
    said = wire.value_from_json(raw, kind)
    items: Sequence[Any] = ()
    if isinstance(said, dict) and isinstance(said.get(field), list):
        items = said[field]
        said = {**said, field: []}
    return items, wire.message_from_value(said, kind)


def _items(said: Sequence[Any], kind: type[M]) -> Iterator[M | ScoringError]:
    for item in said:
        try:
            yield wire.message_from_value(item, kind)
        except ScoringError as error:
            yield error


def _text(said: Any, *names: str) -> str:
    """The id that an item gives, if it gives one."""
    if not isinstance(said, dict):
        return ""
    found = next((said[name] for name in names if name in said), "")
    return found if isinstance(found, str) else ""


def _id(said: Any) -> str:
    return _text(said, "transactionId", "transaction_id")


def _json(message: Message) -> bytes:
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()
