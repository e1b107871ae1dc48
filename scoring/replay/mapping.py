"""Which column of a table is which field of a transaction."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from importlib.resources import files
from re import fullmatch
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from scoring.core.codes import CURRENCY_DIGITS
from scoring.core.document import load
from scoring.errors import InvalidTransaction

TEXT_FIELDS = (
    "tenant", "id", "payment_id", "currency", "card", "customer", "merchant",
    "terminal", "device", "merchant_category", "card_country", "merchant_country",
    "ip_country",
)  # fmt: skip
NUMBER_FIELDS = ("attempt", "channel", "entry_mode")
REAL_FIELDS = ("latitude", "longitude")
TIME_FIELDS = ("occurred_at", "known_at")
FIELDS = (*TEXT_FIELDS, *NUMBER_FIELDS, *REAL_FIELDS, *TIME_FIELDS, "amount", "fraud")
_REQUIRED = ("id", "occurred_at", "amount", "currency")
SHIPPED = ("handbook", "scoring")

_SPAN_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class TableMapping(BaseModel):
    """A mapping file: our field names on the left, the table's on the right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, str] = Field(description="field of a transaction: column")
    constants: dict[str, str] = Field(
        default_factory=dict, description="field of a transaction: value for all rows"
    )
    attributes: dict[str, str] = Field(
        default_factory=dict, description="extra attribute: column"
    )
    amount_unit: Literal["major", "minor"] = "major"
    time_unit: Literal["ms", "s"] = "ms"  # of times given as numbers
    label_delay: str = "7d"

    @field_validator("columns", "constants")
    @classmethod
    def _fields_are_known(cls, mapped: dict[str, str]) -> dict[str, str]:
        for field in mapped:
            if field not in FIELDS:
                raise ValueError(
                    f"{field} is not a field; use one of {', '.join(FIELDS)}"
                )
        return mapped

    @field_validator("label_delay")
    @classmethod
    def _delay_is_a_span(cls, delay: str) -> str:
        span_ms(delay)
        return delay

    @model_validator(mode="after")
    def _required_fields_are_mapped(self) -> TableMapping:
        for field in _REQUIRED:
            if (field in self.columns) == (field in self.constants):
                raise ValueError(
                    f"{field} must be named once, under columns or constants"
                )
        return self

    @property
    def label_delay_ms(self) -> int:
        """How long after the payment its label becomes known."""
        return span_ms(self.label_delay)


def load_mapping(text: str, *, name: str) -> TableMapping:
    """Read a mapping file; raises `BadArtifact` with line, field and remedy."""
    return load(text, TableMapping, name=name)


def shipped_mapping(name: str) -> TableMapping:
    """A mapping that comes with the package, by name.

    >>> shipped_mapping("handbook").columns["amount"]
    'TX_AMOUNT'
    """
    place = files("scoring.defaults") / "mappings" / f"{name}.yaml"
    return load_mapping(place.read_text(encoding="utf-8"), name=f"{name}.yaml")


def span_ms(text: str) -> int:
    """A span of time in milliseconds.

    >>> span_ms("7d"), span_ms("90s")
    (604800000, 90000)
    """
    found = fullmatch(r"(\d{1,9})([smhd])", text.strip())
    if not found:
        raise ValueError("a span is a number and one of s, m, h, d, such as 7d")
    return int(found[1]) * _SPAN_MS[found[2]]


def minor_digits(currency: str) -> int:
    """How many decimal digits a currency's minor unit has.

    Two for a code that is none: its row is refused with the currency's name.

    >>> minor_digits("EUR"), minor_digits("JPY"), minor_digits("KWD")
    (2, 0, 3)
    """
    return CURRENCY_DIGITS.get(currency, 2)


def amount_minor(text: str, digits: int) -> int:
    """Major units as text to whole minor units, half to even, without a float.

    >>> amount_minor("57.16", 2), amount_minor("1.005", 2), amount_minor("1.015", 2)
    (5716, 100, 102)
    """
    try:
        amount = Decimal(text).scaleb(digits)
        return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    except (InvalidOperation, ValueError) as error:
        raise InvalidTransaction("amount", "must be a number") from error
