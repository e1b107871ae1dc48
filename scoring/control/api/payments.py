"""Archived payments over HTTP: one of them, and others of its tokens."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from google.protobuf.json_format import MessageToDict
from pydantic import Field

from scoring.control.api.plane import Visiting
from scoring.control.api.requests import StrictRoute
from scoring.control.api.views import View
from scoring.control.api.wishes import Wish
from scoring.control.desks.payment_desk import PaymentLink, PaymentWish
from scoring.core.transaction.transaction import DEFAULT_TENANT
from scoring.v1.fraud_scoring_pb2 import GetDecisionResponse

router = APIRouter(prefix="/v1", tags=["payments"], route_class=StrictRoute)
_TENANT_MAX, _ID_MAX, _TOKEN_MAX = 64, 128, 254
_MS_MAX = 2**53
_DAYS, _DAYS_MAX = 30, 400
Token = Annotated[str, Field(max_length=_TOKEN_MAX)]


class TokensPart(Wish):
    """Tokens of a payment that the archive may not have yet; empty: none."""

    payment_id: Token = ""
    card: Token = ""
    customer: Token = ""
    device: Token = ""
    email: Token = ""
    ip: Token = ""


class PaymentLookUpWish(Wish):
    """A payment: in the content, so that no log has its tokens.

    Others are looked for that were attempted within `days` of it, before and after.
    Without `tokens` those of the archived payment count.
    """

    tenant: Annotated[str, Field(max_length=_TENANT_MAX)] = ""
    transaction: Annotated[str, Field(min_length=1, max_length=_ID_MAX)]
    near_ms: Annotated[
        int | None,
        Field(
            ge=0,
            le=_MS_MAX,
            description="About when it was attempted; null: all days are looked at.",
        ),
    ] = None
    days: Annotated[int, Field(ge=1, le=_DAYS_MAX)] = _DAYS
    tokens: TokensPart | None = None

    def wish(self) -> PaymentWish:
        """The same, as the desk takes it."""
        named = {} if self.tokens is None else self.tokens.model_dump()
        return PaymentWish(
            tenant=self.tenant or DEFAULT_TENANT,
            transaction_id=self.transaction,
            near_ms=self.near_ms,
            days=self.days,
            tokens={name: token for name, token in named.items() if token},
        )


class LinkedPaymentView(View):
    """Another payment; its amount and score are null where they are unknown."""

    transaction_id: str
    occurred_at_ms: int
    amount_minor: int | None
    currency: str
    merchant: str
    outcome: str
    score: float | None


class PaymentLinkView(View):
    """How many other payments have a token, and the newest of them."""

    shared: str
    token: str
    count: int
    newest: list[LinkedPaymentView]

    @classmethod
    def of(cls, link: PaymentLink) -> PaymentLinkView:
        """As the desk tells it."""
        newest = [LinkedPaymentView(**asdict(each)) for each in link.newest]
        return cls(
            shared=link.shared, token=link.token, count=link.count, newest=newest
        )


class FoundPaymentView(View):
    """A payment's decision, labels and events, and other payments of its tokens.

    `life` is what the service answers of a decision (GetDecisionResponse as JSON), with
    the payment in it; null where it is not archived.
    """

    life: dict[str, Any] | None
    links: list[PaymentLinkView]


@router.post("/payment-look-up", operation_id="lookUpPayment")
def look_up_payment(by: Visiting, wish: PaymentLookUpWish) -> FoundPaymentView:
    """Find an archived payment, and the newest others of its tokens."""
    found = by.plane.payments.look_up(by.person, wish.wish())
    life = None
    if found.life is not None:
        life = MessageToDict(GetDecisionResponse.FromString(found.life))
    return FoundPaymentView(
        life=life, links=[PaymentLinkView.of(each) for each in found.links]
    )
