"""A payment as its page shows it: what the service, the topic and the archive know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from scoring.client.control_plane import Refused
from scoring.console.visit import Visit
from scoring.core.transaction.transaction import LINKED_BY
from scoring.errors import NotFound, Unavailable
from scoring.v1 import decision_pb2 as decisions
from scoring.v1 import transaction_pb2 as transactions
from scoring.v1.fraud_scoring_pb2 import GetDecisionResponse

M = TypeVar("M", bound=Message)
_ATTEMPTS_DAYS = 2
LINKED_DAYS = 30
SHOWN_MAX = 5
# It has no archive, or cannot look through it in time.
_NO_ARCHIVE = frozenset({HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(slots=True, kw_only=True)
class PaymentLife:
    """What is known of a payment.

    `payment` is None where nobody has its fields any more; `shadows` where nobody knows
    what policies in shadow would have said. `lacks` says why a part is not known.
    """

    life: GetDecisionResponse
    payment: transactions.Transaction | None = None
    shadows: Sequence[decisions.ShadowOutcome] | None = None
    attempts: Sequence[Mapping[str, Any]] = ()
    cases: Sequence[Mapping[str, Any]] = ()
    lacks: list[str] = field(default_factory=list)

    @property
    def near_ms(self) -> int:
        """About when it was attempted."""
        if self.payment is not None:
            return self.payment.occurred_at.ToMilliseconds()
        return self.life.decision.trace.decided_at.ToMilliseconds()

    @property
    def tokens(self) -> dict[str, str]:
        """What it may be linked by."""
        return tokens_of(self.payment) if self.payment is not None else {}


def life_of(visit: Visit, tenant: str, transaction_id: str) -> PaymentLife:
    """Everything that is known of a payment; raises `NotFound` where nothing is.

    The service keeps decisions for some days, the topic's newest have their payments,
    cases keep theirs, and the archive has every one that it has come to.
    """
    sought = _Sought(visit, tenant, transaction_id)
    fell = visit.desk.live.named(tenant, transaction_id)
    archived = None
    try:
        life = visit.desk.payments.decision_of(tenant, transaction_id)
        found = PaymentLife(life=life)
    except NotFound as error:
        archived = sought.archived(None, {})
        if archived.life is None:
            why = archived.lacks or "the archive has not come to it"
            raise NotFound(f"{error}, and not in the archive: {why}") from error
        found = PaymentLife(life=archived.life, payment=_payment_in(archived.life))
    if fell is not None:
        found.payment, found.shadows = fell.transaction, fell.shadows
    found.cases = sought.cases()
    found.payment = found.payment or _of_case(found.cases)
    _complete(sought, found, archived)
    return found


def tokens_of(payment: transactions.Transaction) -> dict[str, str]:
    """What a payment may be linked by, of what it says.

    >>> tokens_of(transactions.Transaction(card="c1", ip="192.0.2.1"))
    {'card': 'c1', 'ip': '192.0.2.1'}
    """
    named = ((name, getattr(payment, name)) for name in LINKED_BY)
    return {name: token for name, token in named if token}


def links_of(
    visit: Visit, tenant: str, transaction_id: str, near_ms: int
) -> ArchivedPayment:
    """Other payments of a payment's tokens: those of the topic and of the archive."""
    sought = _Sought(visit, tenant, transaction_id)
    fell = visit.desk.live.named(tenant, transaction_id)
    tokens = {} if fell is None else tokens_of(fell.transaction)
    found = sought.archived(near_ms, tokens, days=LINKED_DAYS)
    if not tokens:
        payment = found.life and _payment_in(found.life)
        payment = payment or _of_case(sought.cases())
        tokens = {} if payment is None else tokens_of(payment)
    found.links = sought.merged(tokens, found.links)
    return found


@dataclass(slots=True)
class ArchivedPayment:
    """What the control plane's archive knows; `lacks` says why that is nothing."""

    life: GetDecisionResponse | None = None
    links: list[dict[str, Any]] = field(default_factory=list)
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class _Sought:
    """A payment that somebody looks for, at each place where it may be."""

    visit: Visit
    tenant: str
    transaction_id: str

    def archived(
        self,
        near_ms: int | None,
        tokens: Mapping[str, str],
        *,
        days: int = _ATTEMPTS_DAYS,
    ) -> ArchivedPayment:
        """What the control plane's archive knows, of these tokens or its own."""
        body: dict[str, Any] = {
            "tenant": self.tenant,
            "transaction": self.transaction_id,
            "near_ms": near_ms,
            "days": days,
            "tokens": dict(tokens) or None,
        }
        try:
            found = self.visit.api.post("payment-look-up", body=body).json
        except Unavailable as error:
            return ArchivedPayment(lacks=str(error))
        except Refused as error:
            if error.status not in _NO_ARCHIVE:
                raise
            return ArchivedPayment(lacks=str(error))
        try:
            life = _read(found["life"], GetDecisionResponse())
        except ParseError as error:
            return ArchivedPayment(lacks=f"its record cannot be read here: {error}")
        return ArchivedPayment(life=life, links=found["links"])

    def merged(
        self, tokens: Mapping[str, str], archived: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """Links by these tokens: what the archive has, and the newest of the topic."""
        live = self.visit.desk.live.sharing(self.tenant, self.transaction_id, tokens)
        known = {each["shared"]: each for each in archived}
        return [
            _merged(name, tokens[name], known.get(name), live.get(name, ()))
            for name in LINKED_BY
            if name in tokens
        ]

    def cases(self) -> list[dict[str, Any]]:
        """Its cases with their notes; there is one at most, open or closed."""
        api = self.visit.api
        named = {"tenant": self.tenant, "transaction": self.transaction_id}
        items = [
            each
            for state in ("", "closed")
            for each in api.get("cases", **named, state=state).json["items"]
        ]
        return [api.get("cases", each["number"]).json for each in items]


def _complete(
    sought: _Sought, found: PaymentLife, archived: ArchivedPayment | None
) -> None:
    """Have the archive's payment, if nobody else had it, and its other attempts."""
    payment_id = found.tokens.get("payment_id", "")
    if archived is None:
        if found.payment is not None and not payment_id:
            return
        one = {"payment_id": payment_id} if payment_id else {}
        archived = sought.archived(found.near_ms, one)
    if found.payment is None and archived.life is not None:
        found.payment = _payment_in(archived.life)
    if archived.lacks:
        found.lacks.append(archived.lacks)
    payment_id = found.tokens.get("payment_id", "")
    if payment_id:
        (link,) = sought.merged({"payment_id": payment_id}, archived.links)
        found.attempts = link["newest"]


def _payment_in(life: GetDecisionResponse) -> transactions.Transaction | None:
    decision = life.decision
    return decision.transaction if decision.HasField("transaction") else None


def _of_case(cases: Sequence[Mapping[str, Any]]) -> transactions.Transaction | None:
    """The payment as its case keeps it; None once it is erased."""
    for each in cases:
        told = (each["decision"] or {}).get("transaction")
        try:
            return _read(told, transactions.Transaction())
        except ParseError:  # of a later release
            continue
    return None


def _read(told: Any, message: M) -> M | None:
    """A message of its JSON; None where there is none. Raises `ParseError`."""
    if told is None:
        return None
    return ParseDict(told, message, ignore_unknown_fields=True)


def _merged(
    shared: str,
    token: str,
    archived: Mapping[str, Any] | None,
    live: Sequence[decisions.Decision],
) -> dict[str, Any]:
    """One link of what both know: how many each, and the newest, each payment once."""
    known = archived["newest"] if archived else ()
    others = {each["transaction_id"]: each for each in known}
    fresh = {each.core.transaction_id: _shown(each) for each in live[:SHOWN_MAX]}
    newest = sorted(
        {**fresh, **others}.values(), key=lambda each: -each["occurred_at_ms"]
    )
    return {
        "shared": shared,
        "token": token,
        "archived": archived["count"] if archived else None,
        "live": len(live),
        "newest": newest[:SHOWN_MAX],
    }


def _shown(decision: decisions.Decision) -> dict[str, Any]:
    """A decision of the topic as the control plane tells archived ones."""
    core, payment = decision.core, decision.transaction
    known = payment.HasField("amount_minor")
    name = decisions.Outcome.Name(core.outcome).removeprefix("OUTCOME_").lower()
    return {
        "transaction_id": core.transaction_id,
        "occurred_at_ms": payment.occurred_at.ToMilliseconds(),
        "amount_minor": payment.amount_minor if known else None,
        "currency": payment.currency,
        "merchant": payment.merchant,
        "outcome": name,
        "score": core.score if core.HasField("score") else None,
    }
