"""From what a call brings to checks that may be decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Protocol

from scoring import wire
from scoring.core.decision.decision import Door
from scoring.core.transaction.event_time import refuse_future
from scoring.core.transaction.trace_context import accepted_traceparent
from scoring.core.transaction.transaction import payload_hash, validate
from scoring.doors.auth.access import Credentials, KnownCaller, ListedAccess
from scoring.doors.calls.call_watch import current_span
from scoring.errors import DeadlineExceeded
from scoring.ports.check import Check
from scoring.ports.spans import CallSpan
from scoring.v1 import transaction_pb2


class Call(Credentials, Protocol):
    """What a transport says of a call, beside its message."""

    @property
    def door(self) -> Door:
        """Which door it came through."""
        ...

    @property
    def traceparent(self) -> str:
        """The W3C header of that name, or empty."""
        ...

    def peer(self) -> str:
        """Where it comes from: an address, and the names of its certificate."""
        ...

    def remaining_s(self) -> float | None:
        """What is left of the caller's time; None where it set none."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call brings along: until when it may take, its trace, who it is.

    `deadline` is an instant of the monotonic clock, seconds. `identity` is None
    where access is not restricted. `peer` says where it comes from, for the log. In
    `span` its trace is written; None without one.
    """

    deadline: float
    traceparent: str = ""
    identity: KnownCaller | None = None
    door: Door = Door.GRPC
    peer: Callable[[], str] = str
    span: CallSpan | None = None

    def until(self, deadline: float) -> Caller:
        """The same caller with another deadline."""
        return Caller(
            *(deadline, self.traceparent, self.identity),
            *(self.door, self.peer, self.span),
        )


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
    access: ListedAccess | None = None

    def caller(
        self, call: Call, method: str, *, budget_s: float | None = None
    ) -> Caller:
        """Read deadline, trace and identity once; `budget_s` replaces that of a check.

        Raises `DeadlineExceeded` where it has passed, and what `ListedAccess` does.
        """
        most_s = self.budget_s if budget_s is None else budget_s
        return self._caller(call, method, most_s)

    def stream_caller(self, call: Call, method: str) -> Caller:
        """The same for a stream, which lasts longer than the budget of a check."""
        return self._caller(call, method, inf)

    def within(self, caller: Caller, budget_s: float) -> Caller:
        """The same caller, whose message is there now, for at most the budget.

        Raises `DeadlineExceeded` where its time has passed meanwhile.
        """
        now = self.monotonic()
        if caller.deadline <= now:
            raise DeadlineExceeded
        return caller.until(min(caller.deadline, now + budget_s))

    def _caller(self, call: Call, method: str, most_s: float) -> Caller:
        remaining_s = call.remaining_s()
        if remaining_s is None:
            remaining_s = inf
        elif remaining_s <= 0:
            raise DeadlineExceeded
        return Caller(
            self.monotonic() + min(remaining_s, most_s),
            accepted_traceparent(call.traceparent),
            self.access.identify(call, method) if self.access else None,
            call.door,
            call.peer,
            current_span.get(),
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
        refuse_future(
            "occurred_at",
            transaction.occurred_at_ms,
            received_at_ms=received_at_ms,
            skew_ms=self.skew_ms,
        )
        return Check(
            transaction=transaction,
            payload_hash=payload_hash(transaction),
            received_at_ms=received_at_ms,
            door=caller.door,
            admitted_at=self.monotonic(),
            deadline=caller.deadline,
            traceparent=caller.traceparent,
            dry_run=dry_run,
            span=caller.span,
        )
