"""The demo's two clients: one writes to Kafka, one calls gRPC."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
from google.protobuf import json_format

from scoring import wire
from scoring.core.transaction.label import Label
from scoring.core.transaction.transaction import Transaction
from scoring.demo.audit import DeliveryAudit
from scoring.demo.tally import Tally
from scoring.kafka.topic_names import Topics, key_of
from scoring.v1 import decision_pb2, fraud_scoring_pb2, fraud_scoring_pb2_grpc

_JSON_HEADER = [("content-type", wire.JSON.encode())]
_CALLS_MAX = 64  # in flight at once: a slow server is not buried
_CALL_TIMEOUT_S = 10.0
_PAUSES_S = (0.25, 0.5, 1.0, 2.0, 4.0)  # after each attempt
_WORTH_ANOTHER = frozenset(
    {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,  # it may be decided all the same
    }
)
_REPLIES_KEPT_MAX = 2_000


@dataclass(slots=True)
class DemoKafkaDoor:
    """Writes transactions and labels as JSON, so that people can read them."""

    producer: Any
    topics: Topics
    audit: DeliveryAudit

    async def check(self, transaction: Transaction) -> None:
        """Queue one transaction; keyed by card, else customer."""
        message = wire.transaction_to_proto(transaction)
        sent = await self.producer.send(
            self.topics.transactions,
            json_bytes(message),
            key=key_of(transaction),
            headers=_JSON_HEADER,
        )
        sent.add_done_callback(partial(self._settled, transaction.id))

    def _settled(self, transaction_id: str, sent: asyncio.Future[Any]) -> None:
        if not sent.cancelled() and (error := sent.exception()) is not None:
            self.audit.failed(transaction_id, f"Kafka: {error!r}")

    async def learn(self, labels: list[Label]) -> None:
        """Queue labels, keyed like their transactions."""
        for label in labels:
            assert label.transaction is not None
            await self.producer.send(
                self.topics.labels,
                json_bytes(wire.label_to_proto(label)),
                key=key_of(label.transaction),
                headers=_JSON_HEADER,
            )


@dataclass(slots=True)
class GrpcDoor:
    """Calls CheckTransaction, times it, and compares repeats byte for byte."""

    channel: Any
    audit: DeliveryAudit
    tally: Tally
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _kept: dict[str, bytes] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_CALLS_MAX)
    )

    def check(self, transaction: Transaction) -> None:
        """Start one call."""
        task = asyncio.get_running_loop().create_task(self._call(transaction))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for the calls in flight."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _call(self, transaction: Transaction) -> None:
        """Ask until there is an answer, as a caller does who needs one: the same id
        again, a little later. Only what was never taken in is refused to the last.
        """
        request = fraud_scoring_pb2.CheckTransactionRequest(
            transaction=wire.transaction_to_proto(transaction)
        )
        codes = set()
        async with self._slots:
            for pause_s in _PAUSES_S:
                code = await self._attempt(request)
                if code is not grpc.StatusCode.OK:
                    self.audit.failed(transaction.id, f"gRPC: {code.name}")
                if code not in _WORTH_ANOTHER:
                    return
                codes.add(code)
                await asyncio.sleep(pause_s)
        if codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}:
            self.audit.refused(transaction.id)

    async def _attempt(self, request: Any) -> grpc.StatusCode:
        stub = fraud_scoring_pb2_grpc.FraudScoringStub(self.channel)
        started = time.perf_counter()
        try:
            response = await stub.CheckTransaction(request, timeout=_CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return error.code()
        self.tally.grpc_ms.append((time.perf_counter() - started) * 1000)
        self._answered(response.decision)
        return grpc.StatusCode.OK

    def _answered(self, decision: decision_pb2.Decision) -> None:
        id_ = decision.core.transaction_id
        self.audit.replied(json_format.MessageToDict(decision.core))
        if decision.core.provisional:
            return  # its repeats are final
        raw = decision.SerializeToString(deterministic=True)
        if id_ in self._kept:
            if self._kept[id_] != raw:
                self.audit.conflicting_ids.add(id_)
        elif len(self._kept) < _REPLIES_KEPT_MAX:
            self._kept[id_] = raw


def json_bytes(message: Any) -> bytes:
    """Canonical protobuf JSON on one line."""
    return json.dumps(
        json_format.MessageToDict(message), separators=(",", ":")
    ).encode()
