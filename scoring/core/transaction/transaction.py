"""A payment attempt to be judged: its fields, limits, identity and hash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from struct import Struct

from scoring.core.quick import quick
from scoring.core.transaction.card_number import (
    field_with_card_number,
    holds_card_number,
    may_hold_card_number,
)
from scoring.core.transaction.codes import FIELD_CODES, CodeSet, named
from scoring.core.transaction.event_time import implausible
from scoring.errors import CardNumberRefused, InvalidTransaction

DEFAULT_TENANT = "default"
TOKEN_CHARACTERS_MAX = 128  # the longest network token in use is 64 characters
AMOUNT_MINOR_MAX = 10**13  # 10^9 of them fit the sums of redis_record.py
ATTEMPT_MAX = 1000
ATTRIBUTES_COUNT_MAX = 32
ATTRIBUTE_KEY_CHARACTERS_MAX = 64
ATTRIBUTE_VALUE_CHARACTERS_MAX = 256

_TENANT = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CODES_MAX = 4_096  # combinations of codes remembered as valid


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


# Every field that can only have certain values, as files name them: what a policy or
# a feature compares with another value would never happen.
CLOSED: Mapping[str, CodeSet] = {
    **FIELD_CODES,
    "channel": named(channel.name for channel in Channel if channel),
    "entry_mode": named(mode.name for mode in EntryMode if mode),
}


@quick
@dataclass(frozen=True, slots=True)
class Transaction:
    """One payment attempt. Empty strings and None mean "not known".

    Fields stand in the order of their protobuf field numbers, which is the order
    of the payload hash.
    """

    tenant: str
    id: str
    payment_id: str = ""
    attempt: int = 0
    occurred_at_ms: int = 0
    amount_minor: int | None = None  # 0 is an amount: of an account verification
    currency: str = ""
    card: str = ""
    customer: str = ""
    merchant: str = ""
    terminal: str = ""
    device: str = ""
    channel: int = Channel.UNSPECIFIED
    entry_mode: int = EntryMode.UNSPECIFIED
    merchant_category: str = ""
    card_country: str = ""
    merchant_country: str = ""
    ip_country: str = ""
    latitude: float | None = None
    longitude: float | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


# The string fields that may carry a token, in field order; what `validate` and
# the card-number guard look at.
TOKEN_FIELDS = (
    "id",
    "payment_id",
    "card",
    "customer",
    "merchant",
    "terminal",
    "device",
)


def never(field: str, text: str) -> str:
    """Why a text can never be a field's value, with the nearest right one; else "".

    >>> never("card_country", "UK")
    "must be an ISO 3166-1 alpha-2 country code such as DE; did you mean 'GB'?"
    >>> never("card", "UK")
    ''
    """
    known = CLOSED.get(field)
    return known.refusal(text) if known else ""


def validate(transaction: Transaction, *, exempt: frozenset[str] = frozenset()) -> None:
    """Raise `InvalidTransaction` naming the first field outside its limits.

    `exempt` names the fields whose digits are never taken for a card number
    (purely numeric ids). Source of the limits: protos/scoring/v1.
    """
    t = transaction
    if not _TENANT.fullmatch(t.tenant):
        raise InvalidTransaction("tenant", "must be 1-64 of A-Z a-z 0-9 . _ -")
    if not t.id:
        raise InvalidTransaction("id", "is required")
    tokens = (
        t.id, t.payment_id, t.card, t.customer, t.merchant, t.terminal, t.device
    )  # fmt: skip
    if (
        max(map(len, tokens)) > TOKEN_CHARACTERS_MAX
        or not "".join(tokens).isprintable()
    ):
        raise _not_a_token(tokens)
    if why := implausible(t.occurred_at_ms):
        raise InvalidTransaction("occurred_at", why)
    if t.amount_minor is not None and not 0 <= t.amount_minor <= AMOUNT_MINOR_MAX:
        raise InvalidTransaction(
            "amount_minor", f"must lie between 0 and {AMOUNT_MINOR_MAX}"
        )
    _validate_codes(
        t.currency,
        t.merchant_category,
        t.card_country,
        t.merchant_country,
        t.ip_country,
    )
    _validate_optional(t)
    # Each field by its name only where all together may hold one.
    if t.attributes or may_hold_card_number("x".join((t.tenant, *tokens))):
        guilty = field_with_card_number(_texts(t, tokens), exempt)
        if guilty:
            raise CardNumberRefused(guilty)


def _not_a_token(tokens: tuple[str, ...]) -> InvalidTransaction:
    """The error of the first that is too long or not printable."""
    name = next(
        name
        for name, value in zip(TOKEN_FIELDS, tokens, strict=True)
        if len(value) > TOKEN_CHARACTERS_MAX or not value.isprintable()
    )
    return InvalidTransaction(
        name, f"must be at most {TOKEN_CHARACTERS_MAX} printable characters"
    )


@lru_cache(maxsize=_CODES_MAX)
def _validate_codes(*codes: str) -> None:
    """Look at the codes; what they may be together is little, and is remembered."""
    for (name, known), value in zip(FIELD_CODES.items(), codes, strict=True):
        if (value or name == "currency") and (why := known.refusal(value)):
            raise InvalidTransaction(name, why)


def validate_key(
    tenant: str, transaction_id: str, *, exempt: frozenset[str] = frozenset()
) -> None:
    """Raise `InvalidTransaction` for what cannot be the identity of a transaction."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidTransaction("tenant", "must be 1-64 of A-Z a-z 0-9 . _ -")
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


def _validate_optional(t: Transaction) -> None:
    if not 0 <= t.attempt <= ATTEMPT_MAX:
        raise InvalidTransaction("attempt", f"must lie between 0 and {ATTEMPT_MAX}")
    if not 0 <= t.channel <= Channel.RECURRING:
        raise InvalidTransaction("channel", "is not a known channel")
    if not 0 <= t.entry_mode <= EntryMode.WALLET:
        raise InvalidTransaction("entry_mode", "is not a known entry mode")
    if t.latitude is not None or t.longitude is not None:
        _validate_location(t)
    if t.attributes:
        _validate_attributes(t.attributes)


def _validate_location(t: Transaction) -> None:
    for name, degrees, limit in (
        ("location.latitude", t.latitude, 90),
        ("location.longitude", t.longitude, 180),
    ):
        if degrees is None:
            raise InvalidTransaction(name, "is missing; half a location is none")
        if not -limit <= degrees <= limit:  # NaN is refused here as well
            raise InvalidTransaction(name, f"must lie between -{limit} and {limit}")


def _validate_attributes(attributes: Mapping[str, str]) -> None:
    if len(attributes) > ATTRIBUTES_COUNT_MAX:
        raise InvalidTransaction(
            "attributes", f"must hold at most {ATTRIBUTES_COUNT_MAX} entries"
        )
    for key, value in attributes.items():
        if not key or len(key) > ATTRIBUTE_KEY_CHARACTERS_MAX:
            raise InvalidTransaction(
                _attribute(key),
                f"keys must be 1-{ATTRIBUTE_KEY_CHARACTERS_MAX} characters",
            )
        if len(value) > ATTRIBUTE_VALUE_CHARACTERS_MAX:
            raise InvalidTransaction(
                _attribute(key),
                f"must be at most {ATTRIBUTE_VALUE_CHARACTERS_MAX} characters",
            )


def _attribute(key: str) -> str:
    """The name of an attribute as errors may say it: cut, and no card number."""
    shown = "" if holds_card_number(key) else key[:ATTRIBUTE_KEY_CHARACTERS_MAX]
    return f"attributes.{shown}" if shown.isprintable() and shown else "attributes"


def _texts(t: Transaction, tokens: tuple[str, ...]) -> dict[str, str]:
    texts = dict(zip(TOKEN_FIELDS, tokens, strict=True))
    texts["tenant"] = t.tenant
    for key, value in t.attributes.items():
        texts[f"attributes[{len(texts)}].key"] = key
        texts[f"attributes.{key}"] = value
    return texts


_TEXT = Struct(">BI")
_NUMBER = Struct(">Bq")
_REAL = Struct(">Bd")
_HEADS_MAX = 4_096  # pairs of field number and length remembered


def payload_hash(transaction: Transaction) -> bytes:
    """SHA-256 (32 bytes) over the domain fields in field-number order.

    Absent fields are omitted (an amount of 0 is there), attributes are sorted, floats
    enter as IEEE bits; trace context and the dry-run flag are not part of a
    transaction. The same transaction hashes equally from Protobuf and from JSON.

    >>> a = Transaction("default", "t1", amount_minor=100, currency="EUR")
    >>> b = Transaction("default", "t1", amount_minor=101, currency="EUR")
    >>> payload_hash(a) == payload_hash(a), payload_hash(a) == payload_hash(b)
    (True, False)
    """
    t = transaction
    parts: list[bytes] = []
    _hash_texts(parts, 1, (t.tenant, t.id, t.payment_id))
    if t.attempt:
        parts.append(_NUMBER.pack(4, t.attempt))
    parts.append(_NUMBER.pack(5, t.occurred_at_ms))
    if t.amount_minor is not None:
        parts.append(_NUMBER.pack(6, t.amount_minor))
    named = (t.currency, t.card, t.customer, t.merchant, t.terminal, t.device)
    _hash_texts(parts, 7, named)
    if t.channel:
        parts.append(_NUMBER.pack(13, t.channel))
    if t.entry_mode:
        parts.append(_NUMBER.pack(14, t.entry_mode))
    parts.append(
        _coded(t.merchant_category, t.card_country, t.merchant_country, t.ip_country)
    )
    if t.latitude is not None and t.longitude is not None:
        parts.append(_REAL.pack(19, t.latitude) + _REAL.pack(19, t.longitude))
    for key in sorted(t.attributes):
        parts += [
            _TEXT.pack(20, len(text)) + text
            for text in (key.encode(), t.attributes[key].encode())
        ]
    return sha256(b"".join(parts)).digest()


def _hash_texts(parts: list[bytes], first: int, texts: tuple[str, ...]) -> None:
    """Add the known ones of some texts, whose field numbers follow each other."""
    for number, text in enumerate(texts, first):
        if text:
            encoded = text.encode()
            parts += (_text_head(number, len(encoded)), encoded)


@lru_cache(maxsize=_CODES_MAX)
def _coded(*texts: str) -> bytes:
    """The codes in field order: what they may be together is little."""
    parts: list[bytes] = []
    _hash_texts(parts, 15, texts)
    return b"".join(parts)


@lru_cache(maxsize=_HEADS_MAX)
def _text_head(number: int, length: int) -> bytes:
    return _TEXT.pack(number, length)


def order_hash(transaction_id: str) -> int:
    """64 bits of the id: an event of an instant is found by them, and where no order
    of processing is known, they break ties.

    The first 8 bytes of its SHA-256, big-endian: DuckDB and Lua can compute or
    carry the same number.

    >>> order_hash("t1") == order_hash("t1") < 2**64
    True
    """
    return int.from_bytes(sha256(transaction_id.encode()).digest()[:8], "big")
