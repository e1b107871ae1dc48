"""The demo's two clients: one writes to Kafka, one calls gRPC."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
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
_REPLIES_KEPT_MAX = 2_000


@dataclass(slots=True)
class DemoKafkaDoor:
    """Writes transactions and labels as JSON, so that people can read them."""

    producer: Any
    topics: Topics

    async def check(self, transaction: Transaction) -> None:
        """Queue one transaction; keyed by card, else customer."""
        message = wire.transaction_to_proto(transaction)
        await self.producer.send(
            self.topics.transactions,
            json_bytes(message),
            key=key_of(transaction),
            headers=_JSON_HEADER,
        )

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
        stub = fraud_scoring_pb2_grpc.FraudScoringStub(self.channel)
        request = fraud_scoring_pb2.CheckTransactionRequest(
            transaction=wire.transaction_to_proto(transaction)
        )
        async with self._slots:
            started = time.perf_counter()
            try:
                response = await stub.CheckTransaction(request, timeout=_CALL_TIMEOUT_S)
            except grpc.aio.AioRpcError:
                # Not answered: the audit will miss it unless it was decided.
                return
            self.tally.grpc_ms.append((time.perf_counter() - started) * 1000)
        self._answered(response.decision)

    def _answered(self, decision: decision_pb2.Decision) -> None:
        id_ = decision.core.transaction_id
        self.audit.replied(json_format.MessageToDict(decision.core))
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
