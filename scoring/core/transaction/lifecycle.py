"""What happened to a payment after its decision: the issuer's answer, money moved."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum

from scoring.core.transaction.card_number import holds_card_number
from scoring.core.transaction.event_time import implausible, refuse_future
from scoring.core.transaction.payment_terms import ThreeDsStatus
from scoring.core.transaction.transaction import (
    AMOUNT_MINOR_MAX,
    TOKEN_CHARACTERS_MAX,
    Transaction,
    order_hash,
    validate_embedded,
    validate_key,
)
from scoring.errors import CardNumberRefused, InvalidTransaction

_ISSUER_CODE = re.compile(r"[A-Za-z0-9._-]{0,32}")


class LifecycleKind(IntEnum):
    """What happened; numbers as in the protobuf enum."""

    UNSPECIFIED = 0
    AUTHORISED = 1
    ISSUER_DECLINED = 2
    REVERSED = 3
    REFUNDED = 4
    CAPTURED = 5
    THREE_DS_FINISHED = 6


_CODED = frozenset(
    {LifecycleKind.AUTHORISED, LifecycleKind.ISSUER_DECLINED, LifecycleKind.REVERSED}
)


@dataclass(frozen=True, slots=True)
class LifecycleEvent:
    """One thing that happened; `transaction` when the sender had it.

    `known_at_ms` is when it became known, 0 where the sender does not say: then its
    receipt is. `amount_minor` is None where all of the payment is meant.
    """

    tenant: str
    transaction_id: str
    event_id: str
    kind: int
    occurred_at_ms: int
    amount_minor: int | None = None
    issuer_code: str = ""
    three_ds_result: int = ThreeDsStatus.UNSPECIFIED
    known_at_ms: int = 0
    transaction: Transaction | None = None

    @property
    def place(self) -> str:
        """What names it among all events of a tenant; \x1f is in no id."""
        return f"{self.transaction_id}\x1f{self.event_id}"

    @property
    def order_hash(self) -> int:
        """By what it is found among an entity's events of its instant."""
        return order_hash(self.place)


def event_known(event: LifecycleEvent, received_at_ms: int) -> LifecycleEvent:
    """The event with when it became known: its receipt, where the sender does not say.

    >>> event = LifecycleEvent("default", "t1", "e1", 1, occurred_at_ms=5)
    >>> event_known(event, 7).known_at_ms
    7
    """
    return replace(event, known_at_ms=event.known_at_ms or received_at_ms)


def validate_event(
    event: LifecycleEvent,
    *,
    received_at_ms: int,
    skew_ms: int,
    exempt: frozenset[str] = frozenset(),
) -> None:
    """Raise `InvalidTransaction` naming the first field outside its limits.

    It happened, and became known, at most `skew_ms` after its own receipt.
    """
    validate_key(event.tenant, event.transaction_id, exempt=exempt)
    _validate_id(event, exempt)
    _validate_kind(event)
    amount = event.amount_minor
    if amount is not None and not 0 <= amount <= AMOUNT_MINOR_MAX:
        told = f"must lie between 0 and {AMOUNT_MINOR_MAX}"
        raise InvalidTransaction("amount_minor", told)
    if why := implausible(event.occurred_at_ms):
        raise InvalidTransaction("occurred_at", why)
    if event.known_at_ms and (why := implausible(event.known_at_ms)):
        raise InvalidTransaction("known_at", why)
    for field in ("occurred_at", "known_at"):
        at_ms = getattr(event, f"{field}_ms")
        refuse_future(field, at_ms, received_at_ms=received_at_ms, skew_ms=skew_ms)
    if 0 < event.known_at_ms < event.occurred_at_ms:
        raise InvalidTransaction("known_at", "lies before it happened")
    if event.transaction is not None:
        validate_embedded(
            event.transaction, event.tenant, event.transaction_id, exempt=exempt
        )


def _validate_id(event: LifecycleEvent, exempt: frozenset[str]) -> None:
    id_ = event.event_id
    if not 1 <= len(id_) <= TOKEN_CHARACTERS_MAX or not id_.isprintable():
        told = f"is required, at most {TOKEN_CHARACTERS_MAX} printable characters"
        raise InvalidTransaction("event_id", told)
    if "id" not in exempt and holds_card_number(id_):
        raise CardNumberRefused("event_id")


def _validate_kind(event: LifecycleEvent) -> None:
    if not LifecycleKind.AUTHORISED <= event.kind <= LifecycleKind.THREE_DS_FINISHED:
        raise InvalidTransaction("kind", "is required and must be a known kind")
    if not _ISSUER_CODE.fullmatch(event.issuer_code):
        told = "must be at most 32 of A-Z a-z 0-9 . _ -"
        raise InvalidTransaction("issuer_code", told)
    if holds_card_number(event.issuer_code):
        raise CardNumberRefused("issuer_code")
    if event.issuer_code and event.kind not in _CODED:
        told = "is only of an authorisation, a decline or a reversal"
        raise InvalidTransaction("issuer_code", told)
    if not 0 <= event.three_ds_result <= max(ThreeDsStatus):
        raise InvalidTransaction("three_ds_result", "is not a known status")
    finished = event.kind == LifecycleKind.THREE_DS_FINISHED
    if finished != bool(event.three_ds_result):
        told = "is required where 3-D Secure has finished, and only there"
        raise InvalidTransaction("three_ds_result", told)
