"""What if: a payment asked again with other fields; nothing is changed by it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from scoring import wire
from scoring.console.payments.payment_life import life_of
from scoring.console.visit import PageRight, PageRoute, Visit, writes
from scoring.console.words import word_in
from scoring.core.transaction.fields import Field, FieldType, Role
from scoring.core.transaction.transaction import FIELDS, Transaction
from scoring.errors import InvalidTransaction, NotFound, ScoringError
from scoring.v1 import decision_pb2 as decisions
from scoring.v1 import transaction_pb2 as transactions
from scoring.v1.decision_pb2 import Decision

_PREFIX = "field."
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Editable:
    """A field that may be asked with another value; `choices` where only these are."""

    name: str
    written: str
    choices: tuple[str, ...]

    @property
    def input(self) -> str:
        """What a form calls it."""
        return f"{_PREFIX}{self.name}"


def editable_of(payment: transactions.Transaction | None) -> list[Editable]:
    """Fields of a payment that say something, and the usual ones that do not."""
    if payment is None:
        return []
    known = wire.accepted_from_proto(payment)
    return [
        Editable(field.name, _written(field, known), tuple(field.member_names.values()))
        for field in FIELDS
        if _is_editable(field)
        and (not field.is_rare or getattr(known, field.name) != field.absent)
    ]


def what_if(visit: Visit) -> Response:
    """What would be decided with other fields, beside what was and what is now."""
    tenant, transaction_id = visit.path["tenant"], visit.path["id"]
    known = life_of(visit, tenant, transaction_id)
    if known.payment is None:
        raise NotFound(
            "the fields of this payment are not kept any more, so it cannot be asked "
            "again"
        )
    payment = wire.accepted_from_proto(known.payment)
    changes = changes_in(payment, visit.form)
    same, other = _unknown_yet(payment), _unknown_yet(replace(payment, **changes))
    again, changed = visit.desk.payments.asked_again([same, other])
    return visit.page(
        "what_if.html",
        title=f"What if: {transaction_id}",
        tenant=tenant,
        id=transaction_id,
        changes=[
            (name, _written(_FIELD_OF[name], payment), visit.form[_PREFIX + name])
            for name in changes
        ],
        answers=[
            ("As it was decided", _answer(known.life.decision)),
            ("Asked again as it was", _answer(again)),
            ("With your changes", _answer(changed)),
        ],
    )


def changes_in(payment: Transaction, form: Mapping[str, str]) -> dict[str, Any]:
    """Fields that a form gives other values; raises `InvalidTransaction`.

    >>> paid = Transaction("default", "t1", amount_minor=500, card="c1")
    >>> changes_in(paid, {"field.amount_minor": "900", "field.card": "c1"})
    {'amount_minor': 900}
    """
    found = {}
    for field in FIELDS:
        written = form.get(_PREFIX + field.name)
        if written is not None and _is_editable(field):
            value = _value(field, written.strip())
            if value != getattr(payment, field.name):
                found[field.name] = value
    return found


def _unknown_yet(payment: Transaction) -> Transaction:
    """The same payment under an id that nobody knows, a millisecond before it.

    Under its own id another payload is a conflict; at its own time the payment itself,
    which is counted by now, would be one of its card's earlier ones.
    """
    fresh = secrets.token_hex(_ID_BYTES).translate(_LETTERS)
    at_ms = payment.occurred_at_ms - 1
    return replace(payment, id=f"what-if-{fresh}", occurred_at_ms=at_ms)


def _is_editable(field: Field) -> bool:
    fixed = field.role in {Role.SCOPE, Role.IDENTITY} or field.is_map
    return not fixed and field.type is not FieldType.INSTANT


def _written(field: Field, payment: Transaction) -> str:
    value = getattr(payment, field.name)
    if value is None or value == "":
        return ""
    if field.type is FieldType.NAME:
        return field.member_names.get(value, "")
    return str(value)


def _value(field: Field, written: str) -> object:
    if not written:
        return field.absent
    if field.type is FieldType.NAME:
        numbers = {name: number for number, name in field.member_names.items()}
        if written not in numbers:
            raise InvalidTransaction(field.name, f"is one of {', '.join(numbers)}")
        return numbers[written]
    try:
        if field.type in {FieldType.WHOLE, FieldType.MONEY}:
            return int(written)
        return float(written) if field.type is FieldType.REAL else written
    except ValueError as error:
        raise InvalidTransaction(field.name, "is no such number") from error


def _answer(said: Decision | ScoringError) -> dict[str, Any]:
    """A decision as a column; or why there is none."""
    if isinstance(said, ScoringError):
        return {"refused": str(said)}
    core = said.core
    return {
        "refused": "",
        "outcome": word_in(decisions.Outcome, core.outcome),
        "score": core.score if core.HasField("score") else None,
        "reasons": [reason.code for reason in core.reasons],
        "rules": [hit.rule for hit in core.rule_hits if not hit.unknown],
        "lacked": [
            word_in(decisions.DegradationCode, each.code) for each in core.degradations
        ],
        "policy": core.versions.policy,
    }


_FIELD_OF = {field.name: field for field in FIELDS}
ROUTES: tuple[PageRoute, ...] = (
    writes("/what-if/{tenant}/{id:path}", what_if, PageRight.READ),
)
