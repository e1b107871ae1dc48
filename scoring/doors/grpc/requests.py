"""From the bytes of a call to checks that may be decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf

from scoring import wire
from scoring.core.decision.decision import Door
from scoring.core.transaction.trace_context import accepted_traceparent
from scoring.core.transaction.transaction import payload_hash, validate
from scoring.doors.auth.access import KnownCaller, ListedAccess
from scoring.doors.grpc.status import Context
from scoring.errors import DeadlineExceeded, InvalidTransaction
from scoring.ports.check import Check
from scoring.v1 import transaction_pb2


@dataclass(frozen=True, slots=True)
class Caller:
    """What a call brings along: until when it may take, its trace, who it is.

    `deadline` is an instant of the monotonic clock, seconds. `identity` is None
    where access is not restricted.
    """

    deadline: float
    traceparent: str = ""
    identity: KnownCaller | None = None

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
    access: ListedAccess | None = None

    def caller(
        self, context: Context, method: str, *, budget_s: float | None = None
    ) -> Caller:
        """Read deadline, trace and identity once; `budget_s` replaces that of a check.

        Raises `DeadlineExceeded` where it has passed, and what `ListedAccess` does.
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
            raise DeadlineExceeded
        return Caller(
            self.monotonic() + remaining_s,
            accepted_traceparent(_header(context, "traceparent")),
            self.access.identify(CallerCredentials(context), method)
            if self.access
            else None,
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


@dataclass(frozen=True, slots=True)
class CallerCredentials:
    """The credentials that a call brings: `auth.access.Credentials`."""

    context: Context

    @property
    def names(self) -> list[str]:
        """Those of its verified certificate."""
        return names_of(self.context.auth_context())

    @property
    def authorization(self) -> str:
        """Its token, as sent."""
        return _header(self.context, "authorization")


def names_of(auth_context: Mapping[str, Iterable[bytes]]) -> list[str]:
    """The names a verified certificate gives: its SANs, else its common name.

    >>> names_of({"x509_common_name": [b"shop"]})
    ['shop']
    >>> names_of({"x509_common_name": [b"x"], "x509_subject_alternative_name": [b"a"]})
    ['a']
    """
    names = auth_context.get("x509_subject_alternative_name") or auth_context.get(
        "x509_common_name", []
    )
    return [name.decode("utf-8", "replace") for name in names]


def _header(context: Context, name: str) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == name and isinstance(value, str):
            return value
    return ""
