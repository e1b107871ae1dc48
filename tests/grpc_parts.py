"""Parts of the gRPC tests: a door on a free port, and payments to send through it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from scoring.doors.calls.shared_calls import SharedCalls
from scoring.doors.grpc.server import GrpcServer
from scoring.kafka.topic_names import Topics
from scoring.models.explainer import TreeExplainer
from scoring.pipeline.budget import Budget
from scoring.pipeline.dispatcher import Dispatcher
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.telemetry import CallTelemetry
from scoring.settings import Settings
from scoring.stores.memory.log import MemoryLog
from scoring.stores.memory.store import MemoryStore
from scoring.stores.spool import MemorySpool
from scoring.telemetry.call_metrics import SilentCalls
from scoring.telemetry.prometheus import SilentTelemetry
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.transaction_pb2 import Label, LifecycleEvent, Transaction
from scoring.wiring.calls import calls_from
from scoring.wiring.grpc_app import grpc_door_from
from scoring.wiring.releases import PolicyVersions
from scoring.wiring.services import Service, artifacts_from, models_from, now_ms

SERVICE = "/scoring.v1.FraudScoring/"
DAY_MS = 86_400_000


def at(ms: int) -> Timestamp:
    return Timestamp(seconds=ms // 1_000, nanos=ms % 1_000 * 1_000_000)


# A long run of random digits may pass for a card number: ids here have none.
_LETTERS = str.maketrans("0123456789", "ghijklmnop")


def fresh_id() -> str:
    return f"t-{uuid4().hex.translate(_LETTERS)}"


def payment(id_: str | None = None, **fields) -> Transaction:
    """A payment that the service accepts, attempted now."""
    id_ = fresh_id() if id_ is None else id_
    known = {"amount_minor": 2_500, "currency": "EUR", "card": f"card-{id_[-9:]}"}
    return Transaction(
        id=id_,
        occurred_at=at(fields.pop("at_ms", now_ms())),
        **{**known, "merchant": f"merchant-{id_[-9:]}", **fields},
    )


def label(id_: str, **fields) -> Label:
    """A label that the service accepts."""
    known = {"version": 1, "verdict": 1, "known_at": at(now_ms())}
    return Label(transaction_id=id_, **{**known, **fields})


def event(id_: str, **fields) -> LifecycleEvent:
    """A lifecycle event that the service accepts: the issuer declined."""
    known = {"event_id": "e1", "kind": 2, "occurred_at": at(now_ms())}
    return LifecycleEvent(transaction_id=id_, **{**known, **fields})


def request(transaction: Transaction, **fields) -> calls.CheckTransactionRequest:
    return calls.CheckTransactionRequest(transaction=transaction, **fields)


@dataclass(frozen=True, slots=True)
class Door:
    """A door that answers, and what stands behind it."""

    server: GrpcServer
    service: Service
    calls: SharedCalls
    stub: stubs.FraudScoringStub
    channel: grpc.aio.Channel

    @property
    def dispatcher(self) -> Dispatcher:
        """What has the calls of this door decided."""
        return self.calls.checks.dispatcher

    def log_is_away(self) -> None:
        """As with `reply_after=log` while the broker acknowledges nothing."""

        async def never(_checks: object, _answers: object) -> None:
            await asyncio.get_running_loop().create_future()

        self.dispatcher.decider.publish = never

    def raw(self, method: str):
        """A call of bytes for bytes."""
        return self.channel.unary_unary(SERVICE + method)

    async def check(self, transaction: Transaction, *, within_s=5.0, **fields):
        reply = await self.stub.CheckTransaction(
            request(transaction, **fields), timeout=within_s
        )
        return reply.decision


@asynccontextmanager
async def open_door(
    model_dir: Path,
    store=None,
    *,
    logs: bool = True,
    log: MemoryLog | None = None,
    budget: Budget | None = None,
    calls: CallTelemetry | None = None,
    **settings,
) -> AsyncIterator[Door]:
    """Serve on loopback with the in-memory store, unless another is given."""
    known = {"grpc_address": "127.0.0.1:0", "model_dir": model_dir, "budget_ms": 2_000}
    chosen = Settings(**{**known, **settings})
    artifacts = artifacts_from(chosen)
    store = store or MemoryStore(
        artifacts.catalogue, lateness_ms=DAY_MS, dedupe_ms=8 * DAY_MS
    )
    telemetry = SilentTelemetry()
    gateway = StoreGateway(store, telemetry, time.monotonic, budget or Budget())
    provisional = Provisional(gateway, MemorySpool(count_max=100), telemetry, 100)
    scorer = Scorer(gateway, artifacts, provisional, telemetry, now_ms)
    log = log or (MemoryLog() if logs else None)
    policies = PolicyVersions.of(chosen, "grpc-0", artifacts.catalogue, now_ms)
    seen = (telemetry, calls or SilentCalls(), lambda *_: None)
    service = Service(*(chosen, scorer, policies, store, log, None, Topics()), *seen)
    source = models_from(chosen)
    calls_ = calls_from(
        service,
        lambda version: TreeExplainer.from_bundle(source.bundle(version)),
    )
    server = grpc_door_from(service, calls_)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = stubs.FraudScoringStub(channel)
            yield Door(server, service, calls_, stub, channel)
    finally:
        await server.drain(notice_s=0, grace_s=1)
        await provisional.close()


async def status_of(call) -> tuple[grpc.StatusCode, str, str]:
    """The refusal that a call gets: status, field, message."""
    try:
        reply = await call
    except grpc.aio.AioRpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        return error.code(), trailing.get("scoring-field", ""), error.details() or ""
    raise AssertionError(f"it was answered: {reply}")
