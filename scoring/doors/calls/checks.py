"""Checks that are decided while their caller waits: one, or a batch of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from scoring import wire
from scoring.doors.calls.call_watch import CallWatch
from scoring.doors.calls.refusals import Refusal, refusal_of, shown_id
from scoring.doors.calls.requests import Caller, Intake
from scoring.errors import InvalidTransaction, ScoringError
from scoring.pipeline.answer import Answer, Decided
from scoring.pipeline.dispatcher import PIECE_COUNT_MAX, Dispatcher
from scoring.ports.check import Check
from scoring.v1 import fraud_scoring_pb2, transaction_pb2

BATCH = "BatchCheckTransactions"
BATCH_COUNT_MAX = 1_000
# One call brings up to 1,000 items: a whole batch may be this many messages long. By
# default 4 MiB, which 1,000 payments of full fields and eight attributes fit.
BATCH_MESSAGES = 16
# A pipeline that breaks its own promise is cut off this long after the deadline.
GRACE_S = 0.005
# A transaction of a batch, or why there is none.
Item = transaction_pb2.Transaction | ScoringError


@dataclass(frozen=True, slots=True)
class Checks:
    """Judges transactions now."""

    intake: Intake
    dispatcher: Dispatcher
    message_bytes_max: int
    batch_budget_s: float
    watch: CallWatch

    async def check(
        self,
        transaction: transaction_pb2.Transaction,
        caller: Caller,
        *,
        dry_run: bool,
    ) -> bytes:
        """The stored decision's own bytes; raises the `ScoringError`."""
        check = self.intake.check(transaction, caller, dry_run=dry_run)
        decided = await self.dispatcher.decide(check, until=caller.deadline + GRACE_S)
        return decided.decision

    async def batch(
        self, items: Iterable[Item], caller: Caller, *, dry_run: bool
    ) -> list[Answer]:
        """One answer an item, in order. Items are drawn while they are admitted."""
        admitted = await self._admitted(items, caller, dry_run=dry_run)
        checks = [item for item in admitted if isinstance(item, Check)]
        found = iter(await self._answers(checks, caller))
        answers = [
            next(found) if isinstance(item, Check) else item for item in admitted
        ]
        for answer in answers:
            if isinstance(answer, ScoringError):
                self.watch.refused(caller.door, BATCH, answer, caller.peer)
        return answers

    async def _admitted(
        self, items: Iterable[Item], caller: Caller, *, dry_run: bool
    ) -> list[Check | ScoringError]:
        admitted = []
        for i, item in enumerate(items, 1):
            admitted.append(self._admit(item, caller, dry_run=dry_run))
            if i % PIECE_COUNT_MAX == 0:  # other callers do not wait for all of it
                await asyncio.sleep(0)
        return admitted

    async def _answers(self, checks: list[Check], caller: Caller) -> list[Answer]:
        if not checks:
            return []
        async with asyncio.timeout_at(caller.deadline + GRACE_S):
            return await self.dispatcher.decide_many(checks)

    def _admit(
        self, item: Item, caller: Caller, *, dry_run: bool
    ) -> Check | ScoringError:
        if isinstance(item, ScoringError):
            return item
        try:
            return self.intake.check(item, caller, dry_run=dry_run)
        except ScoringError as error:
            return error


def refuse_count(count: int, most: int, field: str) -> None:
    """Raise `InvalidTransaction` for a list that is empty or too long."""
    if not 1 <= count <= most:
        raise InvalidTransaction(field, f"must hold 1 to {most} {field}")


def result_to_bytes(transaction_id: str, answer: Answer | Exception) -> bytes:
    """Encode a CheckResult: the id as sent, and the decision's own bytes."""
    if isinstance(answer, Decided):
        return wire.field_to_bytes(1, transaction_id.encode()) + wire.field_to_bytes(
            2, answer.decision
        )
    return refused_result(transaction_id, refusal_of(answer)).SerializeToString()


def refused_result(
    transaction_id: str, refusal: Refusal
) -> fraud_scoring_pb2.CheckResult:
    """A CheckResult without a decision; digits of a card are overwritten."""
    return fraud_scoring_pb2.CheckResult(
        transaction_id=shown_id(transaction_id), error=refusal.to_proto()
    )
