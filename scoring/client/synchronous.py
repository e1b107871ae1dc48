"""The blocking client."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc

from scoring.client import messages
from scoring.client.channel import Security, channel_arguments
from scoring.core.transaction.label import Label
from scoring.core.transaction.transaction import Transaction
from scoring.errors import ScoringError
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import Decision


class Client:
    """Asks for decisions and waits; safe to share between threads.

    `timeout_s` is the deadline of every call that names none: the service answers
    within it, with what it knows by then. Errors: `InvalidTransaction` (with the
    field), `TransactionConflict`, `NotFound`, `Denied`, `Unavailable` (a retry may
    help) and, of these, `DeadlineExceeded`; all are `ScoringError`.
    """

    def __init__(
        self, address: str, *, timeout_s: float = 0.1, security: Security | None = None
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

    def _within(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s

    def check(
        self,
        transaction: Transaction,
        *,
        dry_run: bool = False,
        timeout_s: float | None = None,
    ) -> Decision:
        """Have one transaction judged; `timeout_s` is this call's own deadline."""
        request = messages.check_request(transaction, dry_run=dry_run)
        with messages.translated():
            reply = self._stub.CheckTransaction(
                request, timeout=self._within(timeout_s)
            )
        return reply.decision

    def check_many(
        self,
        transactions: Sequence[Transaction],
        *,
        dry_run: bool = False,
        timeout_s: float | None = None,
    ) -> list[Decision | ScoringError]:
        """Have up to 1,000 judged; one answer a transaction, in order."""
        request = messages.batch_request(transactions, dry_run=dry_run)
        with messages.translated():
            reply = self._stub.BatchCheckTransactions(
                request, timeout=self._within(timeout_s)
            )
        return messages.answers_of(reply)

    def decision(self, transaction_id: str, *, tenant: str = "") -> Decision:
        """Return the recorded decision; `NotFound` when there is none."""
        request = messages.decision_request(transaction_id, tenant)
        with messages.translated():
            return self._stub.GetDecision(request, timeout=self._timeout_s).decision

    def explanation(
        self, transaction_id: str, *, tenant: str = "", timeout_s: float = 30.0
    ) -> calls.ExplainDecisionResponse:
        """What each feature added to the score, exactly; for people: it takes time.

        `NotFound` where there is no decision, `ScoringError` where it has no score.
        """
        request = messages.explain_request(transaction_id, tenant)
        with messages.translated():
            return self._stub.ExplainDecision(request, timeout=timeout_s)

    def report(
        self, labels: Sequence[Label], *, timeout_s: float = 10.0
    ) -> list[ScoringError | None]:
        """Report up to 1,000 labels; None where one was taken (or known already).

        Where the time was too short, a label has `Unavailable`: report it again.
        """
        request = messages.labels_request(labels)
        with messages.translated():
            reply = self._stub.ReportLabels(request, timeout=timeout_s)
        return messages.labels_answers_of(reply)
