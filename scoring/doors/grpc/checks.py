"""CheckTransaction and BatchCheckTransactions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from scoring import wire
from scoring.core.transaction.card_number import masked
from scoring.doors.grpc.requests import Caller, Intake
from scoring.doors.grpc.status import Context, Refusal, refusal_of
from scoring.errors import InvalidTransaction, MessageTooLarge, ScoringError
from scoring.pipeline.answer import Answer, Decided
from scoring.pipeline.dispatcher import PIECE_COUNT_MAX, Dispatcher
from scoring.ports.check import Check
from scoring.v1 import fraud_scoring_pb2, transaction_pb2

BATCH_COUNT_MAX = 1_000
# A pipeline that breaks its own promise is cut off this long after the deadline.
GRACE_S = 0.005


@dataclass(frozen=True, slots=True)
class Checks:
    """The calls that judge now: one transaction, or a batch of them."""

    intake: Intake
    dispatcher: Dispatcher
    message_bytes_max: int
    batch_budget_s: float

    async def check(self, raw: bytes, context: Context) -> bytes:
        """CheckTransaction: the stored bytes, length-prefixed and never re-encoded."""
        if len(raw) > self.message_bytes_max:
            raise MessageTooLarge(self.message_bytes_max)
        caller = self.intake.caller(context, "CheckTransaction")
        request = wire.message_from_bytes(
            raw, fraud_scoring_pb2.CheckTransactionRequest, wire.PROTOBUF
        )
        wire.refuse_unknown_fields(request)
        if not request.HasField("transaction"):
            raise InvalidTransaction("transaction", "is required")
        check = self.intake.check(request.transaction, caller, dry_run=request.dry_run)
        decided = await self.dispatcher.decide(check, until=caller.deadline + GRACE_S)
        return wire.field_to_bytes(1, decided.decision)

    async def batch(self, raw: bytes, context: Context) -> bytes:
        """BatchCheckTransactions: one result a transaction, in order."""
        caller = self.intake.caller(
            context, "BatchCheckTransactions", budget_s=self.batch_budget_s
        )
        request = wire.message_from_bytes(
            raw, fraud_scoring_pb2.BatchCheckTransactionsRequest, wire.PROTOBUF
        )
        wire.refuse_unknown_fields(request)
        if not 1 <= len(request.transactions) <= BATCH_COUNT_MAX:
            raise InvalidTransaction(
                "transactions", f"must hold 1 to {BATCH_COUNT_MAX} transactions"
            )
        admitted = await self._admitted(request, caller)
        checks = [item for item in admitted if isinstance(item, Check)]
        answers = iter(await self._answers(checks, caller))
        return b"".join(
            wire.field_to_bytes(
                1,
                result_to_bytes(
                    message.id, next(answers) if isinstance(item, Check) else item
                ),
            )
            for message, item in zip(request.transactions, admitted, strict=True)
        )

    async def _admitted(
        self, request: fraud_scoring_pb2.BatchCheckTransactionsRequest, caller: Caller
    ) -> list[Check | ScoringError]:
        admitted = []
        for i, message in enumerate(request.transactions, 1):
            admitted.append(self._admit(message, caller, dry_run=request.dry_run))
            if i % PIECE_COUNT_MAX == 0:  # other callers do not wait for all of it
                await asyncio.sleep(0)
        return admitted

    async def _answers(self, checks: list[Check], caller: Caller) -> list[Answer]:
        if not checks:
            return []
        async with asyncio.timeout_at(caller.deadline + GRACE_S):
            return await self.dispatcher.decide_many(checks)

    def _admit(
        self, message: transaction_pb2.Transaction, caller: Caller, *, dry_run: bool
    ) -> Check | ScoringError:
        try:
            return self.intake.check(message, caller, dry_run=dry_run)
        except ScoringError as error:
            return error


def result_to_bytes(transaction_id: str, answer: Answer | Exception) -> bytes:
    """Encode a CheckResult: the id as sent, and the decision's own bytes."""
    if isinstance(answer, Decided):
        return wire.field_to_bytes(1, transaction_id.encode()) + wire.field_to_bytes(
            2, answer.decision
        )
    return refused_to_bytes(transaction_id, refusal_of(answer))


def refused_to_bytes(transaction_id: str, refusal: Refusal) -> bytes:
    """Encode a CheckResult without a decision; digits of a card are overwritten."""
    shown, _ = masked(transaction_id.encode())
    return fraud_scoring_pb2.CheckResult(
        transaction_id=shown.decode(), error=refusal.to_proto()
    ).SerializeToString()
