"""What a case keeps of a decision, and reads of it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from scoring import wire
from scoring.control.database.case_labels import CaseLabel
from scoring.control.domain.cases import DecidedPayment
from scoring.core.decision.decision import Outcome, RuleMode
from scoring.core.transaction.event_time import OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN
from scoring.core.transaction.label import Label, LabelSource
from scoring.core.transaction.transaction import (
    AMOUNT_MINOR_MAX,
    DEFAULT_TENANT,
    Transaction,
)
from scoring.errors import InvalidTransaction
from scoring.v1 import decision_pb2, transaction_pb2
from scoring.wire.messages import ms_from_timestamp
from scoring.wire.transactions import accepted_from_proto

_BYTES_MAX = 262_144  # a decision without its features is some 2 kB
_RANK_MAX = 2**62
_TOKEN_MAX, _TENANT_MAX, _NAME_MAX, _VERSION_MAX = 128, 64, 70, 16
_CURRENCY_MAX, _ATTEMPT_MAX = 3, 1_000
_NAMES_MAX = 1_000  # rules that can hold at once, and reasons
Amount = Callable[[Transaction], int | None]


@dataclass(frozen=True, slots=True)
class ReadDecision:
    """A decision as a case keeps it, and whether a case is made of it.

    `raw` is the decision with its payment.
    """

    decided: DecidedPayment
    raw: bytes
    goes_to_people: bool


def goes_to_people(decision: decision_pb2.Decision) -> bool:
    """Whether a case is made of a decision: it asks for a person, or a rule does.

    >>> decision = decision_pb2.Decision()
    >>> decision.core.outcome = Outcome.REVIEW
    >>> goes_to_people(decision)
    True
    """
    core = decision.core
    reviewed = int(core.outcome) == Outcome.REVIEW
    return reviewed or any(hit.case for hit in core.rule_hits)


def key_of_decision(decision: decision_pb2.Decision) -> tuple[str, str]:
    """What it is one decision of: tenant and transaction."""
    core = decision.core
    return core.tenant or DEFAULT_TENANT, core.transaction_id


def read_from(decision: decision_pb2.Decision, amount: Amount) -> ReadDecision:
    """What is kept of a logged decision; `amount` converts to the reference currency.

    Raises `InvalidTransaction` for what the service never wrote: an id that is missing
    or another's, a text that no database keeps, a time outside of all years.
    """
    core, payment = decision.core, decision.transaction
    tenant, id_ = key_of_decision(decision)
    if (payment.tenant or DEFAULT_TENANT, payment.id) != (tenant, id_):
        raise InvalidTransaction("transaction", "is another than the decision's")
    worth = amount(_worth_of(payment))
    return ReadDecision(
        DecidedPayment(
            tenant=_text("tenant", tenant, _TENANT_MAX),
            transaction_id=_text("transaction_id", payment.id, _TOKEN_MAX, least=1),
            payment_id=_text("payment_id", payment.payment_id, _TOKEN_MAX),
            attempt=_whole("attempt", payment.attempt, 0, _ATTEMPT_MAX),
            outcome=_outcome(core.outcome),
            score=_score(core.score) if core.HasField("score") else None,
            provisional=core.provisional,
            decided_at_ms=_ms("trace.decided_at", decision.trace.decided_at),
            occurred_at_ms=_ms("transaction.occurred_at", payment.occurred_at),
            amount_minor=_amount(payment),
            currency=_text("currency", payment.currency, _CURRENCY_MAX),
            worth_minor=None if worth is None else min(worth, _RANK_MAX),
            card=_text("card", payment.card, _TOKEN_MAX),
            customer=_text("customer", payment.customer, _TOKEN_MAX),
            device=_text("device", payment.device, _TOKEN_MAX),
            merchant=_text("merchant", payment.merchant, _TOKEN_MAX),
            policy=_text("policy", core.versions.policy, _VERSION_MAX),
            rules=_names("rule_hits", (h.rule for h in core.rule_hits if _acted(h))),
            reasons=_names("reasons", (reason.code for reason in core.reasons)),
        ),
        _kept(decision),
        goes_to_people(decision),
    )


def _acted(hit: decision_pb2.RuleHit) -> bool:
    enforced = int(hit.mode) == RuleMode.ENFORCE
    return hit.case or (enforced and not hit.unknown)


def _worth_of(payment: transaction_pb2.Transaction) -> Transaction:
    """As much of a payment as converts its amount: any release has written it."""
    return Transaction(
        payment.tenant,
        payment.id,
        occurred_at_ms=ms_from_timestamp(payment.occurred_at),
        amount_minor=_amount(payment),
        currency=payment.currency,
    )


def _kept(decision: decision_pb2.Decision) -> bytes:
    """The decision without its vector, and what other policies would say."""
    kept = decision_pb2.Decision()
    kept.core.CopyFrom(decision.core)
    kept.core.ClearField("features")
    kept.trace.decided_at.CopyFrom(decision.trace.decided_at)
    kept.transaction.CopyFrom(decision.transaction)
    raw = kept.SerializeToString(deterministic=True)
    if len(raw) > _BYTES_MAX:
        raise InvalidTransaction("", f"has more than {_BYTES_MAX} bytes")
    return raw


# Each value as a database keeps it ------------------------------------------------


def _text(name: str, value: str, characters_max: int, *, least: int = 0) -> str:
    if not least <= len(value) <= characters_max or "\0" in value:
        raise InvalidTransaction(name, "is none that the service accepts")
    return value


def _names(name: str, values: Iterable[str]) -> tuple[str, ...]:
    found = tuple(_text(name, value, _NAME_MAX) for value in values)
    if len(found) > _NAMES_MAX:
        raise InvalidTransaction(name, "are more than a policy has")
    return found


def _whole(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise InvalidTransaction(name, "is none that the service accepts")
    return value


def _outcome(number: int) -> str:
    if number not in set(Outcome) or number == Outcome.UNSPECIFIED:
        raise InvalidTransaction("outcome", "is none that is known here")
    return Outcome(number).name.lower()


def _score(value: float) -> float:
    if not isfinite(value):
        raise InvalidTransaction("score", "is no number")
    return value


def _ms(name: str, timestamp: Timestamp) -> int:
    ms = ms_from_timestamp(timestamp)
    return _whole(name, ms, OCCURRED_AT_MS_MIN, OCCURRED_AT_MS_MAX)


def _amount(payment: transaction_pb2.Transaction) -> int | None:
    if not payment.HasField("amount_minor"):
        return None
    return _whole("amount_minor", payment.amount_minor, 0, AMOUNT_MINOR_MAX)


# What is read again ----------------------------------------------------------------


def payment_in(raw: bytes) -> Transaction | None:
    """The payment of a kept decision; None where a later release has written it."""
    try:
        message = decision_pb2.Decision.FromString(raw)
        return accepted_from_proto(message.transaction)
    except (DecodeError, InvalidTransaction):
        return None


def label_of(
    decided: DecidedPayment, payment: Transaction | None, said: CaseLabel
) -> Label:
    """What a closing says to the service."""
    return Label(
        tenant=decided.tenant,
        transaction_id=decided.transaction_id,
        version=said.version,
        verdict=said.verdict,
        known_at_ms=said.known_at_ms,
        source=LabelSource.REVIEW,
        transaction=payment,
    )


def label_bytes(label: Label) -> bytes:
    """A label as its topic has it."""
    return wire.follow_up_to_bytes(label)
