"""From the bytes of a call to checks that may be decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol

from scoring import wire
from scoring.core.decision.decision import Door
from scoring.core.transaction.trace_context import accepted_traceparent
from scoring.core.transaction.transaction import Transaction, payload_hash, validate
from scoring.doors.grpc.status import Context, Refused, out_of_time
from scoring.errors import InvalidTransaction
from scoring.ports import Check
from scoring.v1 import transaction_pb2


class Identity(Protocol):
    """Who calls, how fast, and what that caller may have judged."""

    def spend(self) -> None:
        """Count one item; raise `Refused` where the caller may send no more now."""
        ...

    def admit(self, transaction: Transaction) -> None:
        """Raise `Refused` for a transaction that is not this caller's."""
        ...

    def admit_lookup(self, tenant: str) -> None:
        """Raise `Refused` where the caller may not read a tenant's decisions."""
        ...


class Access(Protocol):
    """Who may call what."""

    def identify(self, context: Context, method: str) -> Identity:
        """Who calls; raises `Refused` for a stranger or a method not allowed."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call brings along: until when it may take, its trace, who it is.

    `deadline` is an instant of the monotonic clock, seconds. `identity` is None
    where access is not restricted.
    """

    deadline: float
    traceparent: str = ""
    identity: Identity | None = None

    def until(self, deadline: float) -> Caller:
        """The same caller with another deadline."""
        return Caller(deadline, self.traceparent, self.identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Admits transactions: parsed, within their limits, and in time.

    `budget_s` is what a check may take where the caller allows more or says
    nothing. `skew_ms` is how far ahead of the receipt an event time may lie.
    """

    budget_s: float
    skew_ms: int
    exempt: frozenset[str]
    now_ms: Callable[[], int]
    monotonic: Callable[[], float]
    access: Access | None = None

    def caller(
        self, context: Context, method: str, *, budget_s: float | None = None
    ) -> Caller:
        """Read deadline, trace and identity once; `budget_s` replaces that of a check.

        Raises `Refused` when the deadline has passed or the caller may not call.
        """
        caller = self.stream_caller(context, method)
        budget_s = self.budget_s if budget_s is None else budget_s
        return caller.until(min(caller.deadline, self.monotonic() + budget_s))

    def stream_caller(self, context: Context, method: str) -> Caller:
        """The same for a stream, which lasts longer than the budget of a check."""
        remaining_s = context.time_remaining()
        if remaining_s is None:
            remaining_s = inf
        elif remaining_s <= 0:
            raise Refused(out_of_time())
        return Caller(
            self.monotonic() + remaining_s,
            _traceparent(context),
            self.access.identify(context, method) if self.access else None,
        )

    def check(
        self,
        message: transaction_pb2.Transaction,
        caller: Caller,
        *,
        dry_run: bool = False,
    ) -> Check:
        """Admit one transaction; raises `InvalidTransaction` naming the field."""
        if caller.identity:
            caller.identity.spend()
        transaction = wire.transaction_from_proto(message)
        validate(transaction, exempt=self.exempt)
        if caller.identity:
            caller.identity.admit(transaction)
        received_at_ms = self.now_ms()
        if transaction.occurred_at_ms > received_at_ms + self.skew_ms:
            raise InvalidTransaction(
                "occurred_at",
                f"lies more than {self.skew_ms} ms after its receipt; send UTC",
            )
        return Check(
            transaction=transaction,
            payload_hash=payload_hash(transaction),
            received_at_ms=received_at_ms,
            door=Door.GRPC,
            admitted_at=self.monotonic(),
            deadline=caller.deadline,
            traceparent=caller.traceparent,
            dry_run=dry_run,
        )


def _traceparent(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent" and isinstance(value, str):
            return accepted_traceparent(value)
    return ""
