"""The blocking client."""

from __future__ import annotations

from collections.abc import Sequence
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


class Client:
    """Asks for decisions and waits; safe to share between threads.

    `timeout_s` is the deadline of every call that names none: the service answers
    within it, with what it knows by then. There is no default: nobody else knows how
    long a payment can wait. Errors are `ScoringError`s, each with `code`, `field` and
    `request_id`: docs/guide-payments.md lists them.

    Every call may have a deadline of its own (`timeout_s`) and names of its own
    (`ids`), which hold after it what the service returned.
    """

    def __init__(
        self, address: str, *, timeout_s: float, security: Security | None = None
    ) -> None:
        arguments = channel_arguments(security)
        self._channel = (
            grpc.secure_channel(address, security.credentials(), arguments)
            if security
            else grpc.insecure_channel(address, arguments)
        )
        self._stub = stubs.FraudScoringStub(self._channel)
        self._timeout_s = timeout_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    def _ask(
        self,
        method: grpc.UnaryUnaryMultiCallable[R, A],
        request: R,
        timeout_s: float | None,
        ids: CallIds | None,
    ) -> A:
        ids = CallIds() if ids is None else ids
        within_s = self._timeout_s if timeout_s is None else timeout_s
        with messages.translated(ids):
            reply, call = method.with_call(
                request, timeout=within_s, metadata=ids.metadata()
            )
        ids.returned(call.trailing_metadata())
        return reply

    def check(
        self,
        transaction: Transaction,
        *,
        dry_run: bool = False,
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> Decision:
        """Have one transaction judged."""
        request = messages.check_request(transaction, dry_run=dry_run)
        return self._ask(self._stub.CheckTransaction, request, timeout_s, ids).decision

    def check_many(
        self,
        transactions: Sequence[Transaction],
        *,
        dry_run: bool = False,
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> list[Decision | ScoringError]:
        """Have up to 1,000 judged; one answer a transaction, in order."""
        request = messages.batch_request(transactions, dry_run=dry_run)
        reply = self._ask(self._stub.BatchCheckTransactions, request, timeout_s, ids)
        return messages.answers_of(reply)

    def decision(
        self,
        transaction_id: str,
        *,
        tenant: str = "",
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> Decision:
        """Return the recorded decision; `NotFound` when there is none."""
        return self.life(
            transaction_id, tenant=tenant, timeout_s=timeout_s, ids=ids
        ).decision

    def life(
        self,
        transaction_id: str,
        *,
        tenant: str = "",
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> calls.GetDecisionResponse:
        """The recorded decision, and what became known since: `labels`, `events`."""
        request = messages.decision_request(transaction_id, tenant)
        return self._ask(self._stub.GetDecision, request, timeout_s, ids)

    def explanation(
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
        return self._ask(self._stub.ExplainDecision, request, timeout_s, ids)

    def report(
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
        reply = self._ask(self._stub.ReportLabels, request, timeout_s, ids)
        return messages.outcomes_of(reply)

    def report_events(
        self,
        events: Sequence[LifecycleEvent],
        *,
        timeout_s: float | None = None,
        ids: CallIds | None = None,
    ) -> list[ScoringError | None]:
        """Report up to 1,000 lifecycle events, answered as labels are."""
        request = messages.events_request(events)
        reply = self._ask(self._stub.ReportEvents, request, timeout_s, ids)
        return messages.outcomes_of(reply)
