"""A payment attempt to be judged: its fields, limits, identity and hash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import partial
from hashlib import sha256
from typing import Annotated

from scoring.core.fast_init import fast_init
from scoring.core.transaction.card_number import field_with_card_number
from scoring.core.transaction.codes import (
    CATEGORIES,
    COUNTRIES,
    CURRENCIES,
    ECIS,
    RESPONSE_CODES,
    CodeSet,
)
from scoring.core.transaction.event_time import OCCURRED_AT_MS_MAX, OCCURRED_AT_MS_MIN
from scoring.core.transaction.fields import (
    Field,
    FieldType,
    Role,
    code,
    declared,
    derived,
    instant,
    money,
    name,
    names,
    numbers,
    personal,
    real,
    text,
    texts,
    whole,
)
from scoring.core.transaction.forms import (
    ACCOUNT,
    BIN,
    EMAIL,
    EMAIL_DOMAIN,
    IP,
    IP_NETWORK,
    PHONE,
    POSTAL_CODE,
    THREE_DS_VERSION,
    Form,
    domain_of,
    network_of,
)
from scoring.core.transaction.limits import validator
from scoring.core.transaction.payload import hasher
from scoring.core.transaction.payment_terms import (
    AvsResult,
    CvvResult,
    Flag,
    Initiator,
    PaymentMethod,
    Rail,
    Sequence,
    ThreeDsStatus,
)
from scoring.errors import CardNumberRefused, InvalidTransaction

DEFAULT_TENANT = "default"
TOKEN_CHARACTERS_MAX = 128  # the longest network token in use is 64 characters
AMOUNT_MINOR_MAX = 10**13  # 10^9 of them fit a running sum of the store
ATTEMPT_MAX = 1000
NUMBER_MAX = 1e18  # whatever rules and statistics make of such numbers stays finite


class Channel(IntEnum):
    """How the payment reached the merchant; numbers as in the protobuf enum."""

    UNSPECIFIED = 0
    POINT_OF_SALE = 1
    ECOMMERCE = 2
    ATM = 3
    MAIL_TELEPHONE = 4
    RECURRING = 5


class EntryMode(IntEnum):
    """How the card data was read; numbers as in the protobuf enum."""

    UNSPECIFIED = 0
    CHIP = 1
    CONTACTLESS = 2
    MAGSTRIPE = 3
    MANUAL = 4
    ON_FILE = 5
    WALLET = 6


_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TENANT_TOLD = "must be 1-64 of A-Z a-z 0-9 . _ -"
_token = partial(text, characters_max=TOKEN_CHARACTERS_MAX)
_instant = partial(instant, low=OCCURRED_AT_MS_MIN, high=OCCURRED_AT_MS_MAX)
_latitude = real(19, "location.latitude", low=-90, high=90)
_longitude = real(19, "location.longitude", low=-180, high=180)
_attributes = texts(20, entries_max=32, key_characters_max=64, characters_max=256)
_numbers = numbers(48, entries_max=32, key_characters_max=64, high=NUMBER_MAX)
_address = partial(text, characters_max=256)
_postal_code = partial(text, characters_max=16, form=POSTAL_CODE)
_account = partial(_token, form=ACCOUNT)
_payer = partial(personal, names_payer=True)
_email = _payer(
    text(21, Role.ENTITY, characters_max=254, form=EMAIL)
)  # RFC 5321's longest
_phone = _payer(_token(22, Role.ENTITY, form=PHONE))
_ip = personal(_token(23, Role.ENTITY, form=IP))
_version = _token(43, Role.CATEGORY, form=THREE_DS_VERSION)


@fast_init
@dataclass(frozen=True, slots=True)
class Transaction:
    """One payment attempt. Empty strings and None mean "not known".

    The one declaration of its fields; all else is derived from it. They are in the
    order of their protobuf field numbers, which is that of the payload hash.
    """

    tenant: Annotated[
        str,
        Field(
            1, FieldType.TEXT, Role.SCOPE, characters_max=64, required=True,
            pattern=_TENANT, told=_TENANT_TOLD,
        ),
    ]  # fmt: skip
    id: Annotated[str, _token(2, Role.IDENTITY, required=True)]
    payment_id: Annotated[str, _token(3, Role.IDENTITY)] = ""
    attempt: Annotated[int, whole(4, high=ATTEMPT_MAX)] = 0
    occurred_at_ms: Annotated[int, _instant(5, path="occurred_at")] = 0
    # 0 is an amount: of an account verification
    amount_minor: Annotated[int | None, money(6, high=AMOUNT_MINOR_MAX)] = None
    currency: Annotated[str, code(7, CURRENCIES, required=True)] = ""
    card: Annotated[str, replace(_token(8, Role.ENTITY), names_payer=True)] = ""
    customer: Annotated[str, replace(_token(9, Role.ENTITY), names_payer=True)] = ""
    merchant: Annotated[str, _token(10, Role.ENTITY)] = ""
    terminal: Annotated[str, _token(11, Role.ENTITY)] = ""
    device: Annotated[str, _token(12, Role.ENTITY)] = ""
    channel: Annotated[int, name(13, Channel)] = Channel.UNSPECIFIED
    entry_mode: Annotated[int, name(14, EntryMode)] = EntryMode.UNSPECIFIED
    merchant_category: Annotated[str, code(15, CATEGORIES)] = ""
    card_country: Annotated[str, code(16, COUNTRIES)] = ""
    merchant_country: Annotated[str, code(17, COUNTRIES)] = ""
    ip_country: Annotated[str, code(18, COUNTRIES)] = ""
    latitude: Annotated[float | None, _latitude] = None
    longitude: Annotated[float | None, _longitude] = None
    attributes: Annotated[Mapping[str, str], _attributes] = field(default_factory=dict)
    email: Annotated[str, _email] = ""
    phone: Annotated[str, _phone] = ""
    ip: Annotated[str, _ip] = ""
    session: Annotated[str, personal(_token(24, Role.ENTITY))] = ""
    billing_address: Annotated[str, personal(_address(25, Role.ENTITY))] = ""
    billing_postal_code: Annotated[str, personal(_postal_code(26, Role.CATEGORY))] = ""
    billing_country: Annotated[str, code(27, COUNTRIES)] = ""
    shipping_address: Annotated[str, personal(_address(28, Role.ENTITY))] = ""
    shipping_postal_code: Annotated[str, personal(_postal_code(29, Role.CATEGORY))] = ""
    shipping_country: Annotated[str, code(30, COUNTRIES)] = ""
    payer_account: Annotated[str, _payer(_account(31, Role.ENTITY))] = ""
    payee_account: Annotated[str, personal(_account(32, Role.ENTITY))] = ""
    bin: Annotated[str, _token(33, Role.CATEGORY, form=BIN)] = ""
    issuer: Annotated[str, _token(34, Role.CATEGORY)] = ""
    wallet: Annotated[str, text(35, Role.CATEGORY, characters_max=64)] = ""
    network_token: Annotated[int, name(36, Flag)] = Flag.UNSPECIFIED
    payment_method: Annotated[int, name(37, PaymentMethod)] = PaymentMethod.UNSPECIFIED
    rail: Annotated[int, name(38, Rail)] = Rail.UNSPECIFIED
    initiator: Annotated[int, name(39, Initiator)] = Initiator.UNSPECIFIED
    sequence: Annotated[int, name(40, Sequence)] = Sequence.UNSPECIFIED
    avs_result: Annotated[int, name(41, AvsResult)] = AvsResult.UNSPECIFIED
    cvv_result: Annotated[int, name(42, CvvResult)] = CvvResult.UNSPECIFIED
    three_ds_version: Annotated[str, _version] = ""
    three_ds_status: Annotated[int, name(44, ThreeDsStatus)] = ThreeDsStatus.UNSPECIFIED
    eci: Annotated[str, code(45, ECIS)] = ""
    liability_shift: Annotated[int, name(46, Flag)] = Flag.UNSPECIFIED
    previous_response_code: Annotated[str, code(47, RESPONSE_CODES)] = ""
    numbers: Annotated[Mapping[str, float], _numbers] = field(default_factory=dict)

    @property
    def ip_network(self) -> str:
        """The /24 or /48 of the address: one household, office or data centre."""
        return network_of(self.ip)

    @property
    def email_domain(self) -> str:
        """The domain of the e-mail address."""
        return domain_of(self.email)


FIELDS = declared(Transaction)
# Worked out of the field that each is named with, and carried by no message.
DERIVED: Mapping[Field, str] = {
    derived("ip_network", Role.ENTITY, IP_NETWORK): "ip",
    derived("email_domain", Role.CATEGORY, EMAIL_DOMAIN): "email",
}
READ_FIELDS = (*FIELDS, *DERIVED)  # what rules, lists, segments and features name
FIELD_OF: Mapping[str, Field] = {field.name: field for field in READ_FIELDS}
PERSONAL_FIELDS = tuple(field.name for field in FIELDS if field.personal)
MAP_FIELDS = names(FIELDS, FieldType.TEXTS, FieldType.NUMBERS)
TOKEN_FIELDS = tuple(f.name for f in FIELDS if f.is_token)
FIELD_CODES = {f.name: f.codes for f in FIELDS if f.type is FieldType.CODE and f.codes}
# Every field that can only have certain values, as files name them: what a policy or
# a feature compares with another value would never happen.
CLOSED: Mapping[str, CodeSet] = {f.name: f.codes for f in FIELDS if f.codes}
FORMS: Mapping[str, Form] = {f.name: f.form for f in READ_FIELDS if f.form}
# The longest text that any field holds.
TEXT_CHARACTERS_MAX = max(f.characters_max for f in FIELDS if f.is_token)

validate = validator(FIELDS)
payload_hash = hasher(FIELDS)


def never(field: str, text: str) -> str:
    """Why a text can never be a field's value, with the nearest right one; else "".

    >>> never("card_country", "UK")
    "must be an ISO 3166-1 alpha-2 country code such as DE; did you mean 'GB'?"
    >>> never("card", "UK")
    ''
    """
    known = CLOSED.get(field) or FORMS.get(field)
    if known:
        return known.refusal(text)
    token = field in TOKEN_FIELDS and not text.isprintable()
    return "must be printable" if token else ""


def validate_key(
    tenant: str, transaction_id: str, *, exempt: frozenset[str] = frozenset()
) -> None:
    """Raise `InvalidTransaction` for what cannot be the identity of a transaction."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidTransaction("tenant", _TENANT_TOLD)
    if (
        not 1 <= len(transaction_id) <= TOKEN_CHARACTERS_MAX
        or not transaction_id.isprintable()
    ):
        raise InvalidTransaction(
            "transaction_id",
            f"is required, at most {TOKEN_CHARACTERS_MAX} printable characters",
        )
    texts = {"tenant": tenant, "transaction_id": transaction_id}
    if "id" in exempt:
        texts.pop("transaction_id")
    guilty = field_with_card_number(texts, exempt)
    if guilty:
        raise CardNumberRefused(guilty)


def validate_embedded(
    transaction: Transaction,
    tenant: str,
    transaction_id: str,
    *,
    exempt: frozenset[str] = frozenset(),
) -> None:
    """Raise `InvalidTransaction` for what cannot be the payment that is told of."""
    validate(transaction, exempt=exempt)
    if transaction.id != transaction_id:
        raise InvalidTransaction("transaction.id", "must equal transaction_id")
    if transaction.tenant != tenant:
        raise InvalidTransaction("transaction.tenant", "must equal tenant")


def order_hash(transaction_id: str) -> int:
    """64 bits of the id: an event of an instant is found by them, and where no order
    of processing is known, they break ties.

    The first 8 bytes of its SHA-256, big-endian: DuckDB and Lua can compute or
    carry the same number.

    >>> order_hash("t1") == order_hash("t1") < 2**64
    True
    """
    return int.from_bytes(sha256(transaction_id.encode()).digest()[:8], "big")


# What payments are linked by: attempts of one payment first, then whom it is of.
LINKED_BY = ("payment_id", "card", "customer", "device", "email", "ip")
