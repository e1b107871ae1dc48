"""The asyncio client, with the stream."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.message import Message

from scoring.client import messages
from scoring.client.call_ids import CallIds
from scoring.client.channel import Security, channel_arguments
from scoring.core.transaction.label import Label
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.core.transaction.transaction import Transaction
from scoring.errors import ScoringError
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import Decision

A = TypeVar("A", bound=Message)
R = TypeVar("R", bound=Message)
_MS_PER_S = 1_000


class AsyncClient:
    """Asks for decisions on one event loop; deadlines, names and errors as `Client`."""

    def __init__(
        self, address: str, *, timeout_s: float, security: Security | None = None
    ) -> None:
        arguments = channel_arguments(security)
        self._channel = (
            grpc.aio.secure_channel(address, security.credentials(), arguments)
            if security
            else grpc.aio.insecure_channel(address, arguments)
        )
        self._stub: stubs.FraudScoringAsyncStub = stubs.FraudScoringStub(self._channel)
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._channel.close()

    async def _ask(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[R, A],
        request: R,
        timeout_s: float | None,
        ids: CallIds | None,
    ) -> A:
        ids = CallIds() if ids is None else ids
        within_s = self._timeout_s if timeout_s is None else timeout_s
        with messages.translated(ids):
            call = method(request, timeout=within_s, metadata=ids.metadata())
            reply = await call
            ids.returned(await call.trailing_metadata())
        return reply

    async def check(
        self,
        transaction: Transaction,
        *,
        dry_run: bool = False,
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> Decision:
        """Have one transaction judged."""
        request = messages.check_request(transaction, dry_run=dry_run)
        reply = await self._ask(self._stub.CheckTransaction, request, timeout_s, ids)
        return reply.decision

    async def check_many(
        self,
        transactions: Sequence[Transaction],
        *,
        dry_run: bool = False,
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> list[Decision | ScoringError]:
        """Have up to 1,000 judged; one answer a transaction, in order."""
        request = messages.batch_request(transactions, dry_run=dry_run)
        return messages.answers_of(
            await self._ask(self._stub.BatchCheckTransactions, request, timeout_s, ids)
        )

    async def check_stream(
        self,
        transactions: AsyncIterable[Transaction],
        *,
        budget_ms: int | None = None,
        dry_run: bool = False,
        ids: CallIds | None = None,
    ) -> AsyncIterator[tuple[str, Decision | ScoringError]]:
        """Have a stream judged: (id, answer) as they are made, in any order.

        The fastest way for a gateway: what waits is one micro-batch. Each payment has
        `budget_ms` from its receipt, or the service's own budget where that is less;
        None is the client's `timeout_s`, 0 the service's own.
        """
        ids = CallIds() if ids is None else ids
        if budget_ms is None:
            budget_ms = math.ceil(self._timeout_s * _MS_PER_S)

        async def requests() -> AsyncIterator[calls.StreamCheckTransactionsRequest]:
            async for transaction in transactions:
                yield messages.stream_request(
                    transaction, budget_ms=budget_ms, dry_run=dry_run
                )

        with messages.translated(ids):
            call = self._stub.StreamCheckTransactions(
                requests(), metadata=ids.metadata()
            )
            async for reply in call:
                yield reply.result.transaction_id, messages.answer_of(reply.result)
            ids.returned(await call.trailing_metadata())

    async def decision(
        self,
        transaction_id: str,
        *,
        tenant: str = "",
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> Decision:
        """Return the recorded decision; `NotFound` when there is none."""
        found = await self.life(
            transaction_id, tenant=tenant, timeout_s=timeout_s, ids=ids
        )
        return found.decision

    async def life(
        self,
        transaction_id: str,
        *,
        tenant: str = "",
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> calls.GetDecisionResponse:
        """The recorded decision, and what became known since: `labels`, `events`."""
        request = messages.decision_request(transaction_id, tenant)
        return await self._ask(self._stub.GetDecision, request, timeout_s, ids)

    async def explanation(
        self,
        transaction_id: str,
        *,
        tenant: str = "",
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> calls.ExplainDecisionResponse:
        """What each feature added to the score, exactly.

        For people: it may take seconds, where a model has to be loaded first.
        `NotFound` where there is no decision, `NotExplainable` where it has no score.
        """
        request = messages.explain_request(transaction_id, tenant)
        return await self._ask(self._stub.ExplainDecision, request, timeout_s, ids)

    async def report(
        self,
        labels: Sequence[Label],
        *,
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> list[ScoringError | None]:
        """Report up to 1,000 labels; None where one was taken (or known already).

        Where the time was too short, a label has `Unavailable`: report it again.
        """
        request = messages.labels_request(labels)
        reply = await self._ask(self._stub.ReportLabels, request, timeout_s, ids)
        return messages.outcomes_of(reply)

    async def report_events(
        self,
        events: Sequence[LifecycleEvent],
        *,
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> list[ScoringError | None]:
        """Report up to 1,000 lifecycle events, answered as labels are."""
        request = messages.events_request(events)
        reply = await self._ask(self._stub.ReportEvents, request, timeout_s, ids)
        return messages.outcomes_of(reply)
