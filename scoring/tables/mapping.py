"""Which column of a table is which field of a transaction."""

from __future__ import annotations

from codecs import lookup
from datetime import UTC, datetime
from importlib.resources import files
from re import fullmatch
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from scoring.core.document import load
from scoring.core.transaction.fields import FieldType, Role, names
from scoring.core.transaction.transaction import FIELDS as DECLARED

TEXT_FIELDS = names(DECLARED, FieldType.TEXT, FieldType.CODE)
NUMBER_FIELDS = names(DECLARED, FieldType.WHOLE, FieldType.NAME)
REAL_FIELDS = names(DECLARED, FieldType.REAL)
TIME_FIELDS = ("occurred_at", "known_at")
FIELDS = (
    *TEXT_FIELDS, *NUMBER_FIELDS, *REAL_FIELDS, *TIME_FIELDS,
    "amount", "fraud", "outcome",
)  # fmt: skip
_REQUIRED = ("id", "occurred_at", "amount", "currency")
_TOKENISED = tuple(field.name for field in DECLARED if field.role is Role.ENTITY)
SHIPPED = ("handbook", "scoring")

_SPAN_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class TimeReading(BaseModel):
    """How times are written that are not ISO 8601 or milliseconds since 1970.

    `format` is strptime's; `unit` and `origin` say what a number counts, and from
    when; `zone` is that of times which name none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str = ""
    unit: Literal["", "d", "h", "m", "s", "ms", "us", "ns"] = ""
    origin: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    zone: str = "UTC"

    @field_validator("origin", mode="before")
    @classmethod
    def _origin_may_be_a_day(cls, origin: object) -> object:
        return datetime.fromisoformat(origin) if isinstance(origin, str) else origin

    @field_validator("origin")
    @classmethod
    def _origin_has_a_zone(cls, origin: datetime) -> datetime:
        return origin if origin.tzinfo else origin.replace(tzinfo=UTC)

    @field_validator("zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError("must be a zone such as UTC or Europe/Berlin") from error
        return zone


class MoneyReading(BaseModel):
    """How amounts are written that are no plain numbers such as 1234.56.

    `decimal` is the mark before the fraction, the other one then parts thousands;
    `symbol` may be before or after an amount.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decimal: Literal["", ".", ","] = ""
    symbol: str = ""


class LabelReading(BaseModel):
    """Which values of the label mean fraud and which mean legitimate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fraud: tuple[str, ...]
    legitimate: tuple[str, ...]

    @model_validator(mode="after")
    def _each_value_means_one_thing(self) -> LabelReading:
        for value in set(self.fraud) & set(self.legitimate):
            raise ValueError(f"{value!r} cannot mean both fraud and legitimate")
        return self


class OutcomeReading(BaseModel):
    """Which values say what was decided about a payment at the time.

    >>> OutcomeReading(decline=("05",)).meanings
    {'05': 'decline'}
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    approve: tuple[str, ...] = ()
    challenge: tuple[str, ...] = ()
    review: tuple[str, ...] = ()
    decline: tuple[str, ...] = ()

    @property
    def meanings(self) -> dict[str, str]:
        """Each value, and the outcome that it means."""
        return {value: outcome for outcome, values in self for value in values}

    @model_validator(mode="after")
    def _each_value_means_one_thing(self) -> OutcomeReading:
        said = [value for _, values in self for value in values]
        for value in self.meanings:
            if said.count(value) > 1:
                raise ValueError(f"{value!r} cannot mean two outcomes")
        return self


class TableMapping(BaseModel):
    """A mapping file: our field names on the left, the table's on the right.

    Several columns for one field are joined: times by a space, tokens by a dash.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, str | tuple[str, ...]] = Field(
        description="field of a transaction: column, or several to be joined"
    )
    constants: dict[str, str] = Field(
        default_factory=dict, description="field of a transaction: value for all rows"
    )
    attributes: dict[str, str] = Field(
        default_factory=dict, description="extra attribute: column"
    )
    numbers: dict[str, str] = Field(
        default_factory=dict, description="named number: column"
    )
    row_numbers_as_ids: bool = False  # for tables without ids
    amount_unit: Literal["major", "minor"] = "major"
    money: MoneyReading = MoneyReading()
    time_unit: Literal["ms", "s"] = "ms"  # of times given as numbers
    time: TimeReading = TimeReading()
    labels: LabelReading | None = None  # None: the usual words, and 0 and 1
    outcomes: OutcomeReading | None = None  # None: approve, challenge, review, decline
    missing: tuple[str, ...] = ()  # what is written where nothing is known
    encoding: str = ""  # empty: UTF-8, or UTF-16 with a byte order mark
    label_delay: str = "7d"
    tokenise: tuple[str, ...] = ()  # fields whose values are numbered, for one table

    @field_validator("columns", "constants")
    @classmethod
    def _fields_are_known(cls, mapped: dict[str, str]) -> dict[str, str]:
        for field in mapped:
            if field not in FIELDS:
                raise ValueError(
                    f"{field} is not a field; use one of {', '.join(FIELDS)}"
                )
        return mapped

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, encoding: str) -> str:
        try:
            return encoding and lookup(encoding).name
        except LookupError as error:
            raise ValueError("must be an encoding such as latin-1") from error

    @field_validator("tokenise")
    @classmethod
    def _tokens_stand_for_fields(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        for field in fields:
            if field not in _TOKENISED:
                raise ValueError(f"names {field}, not one of {', '.join(_TOKENISED)}")
        return fields

    @field_validator("label_delay")
    @classmethod
    def _delay_is_a_span(cls, delay: str) -> str:
        span_ms(delay)
        return delay

    @model_validator(mode="after")
    def _required_fields_are_mapped(self) -> TableMapping:
        for field in _REQUIRED:
            said = (field in self.columns) + (field in self.constants)
            if field == "id":
                said += self.row_numbers_as_ids
            if said != 1:
                rows = ", or row_numbers_as_ids: true" if field == "id" else ""
                raise ValueError(
                    f"{field} must be named once, under columns or constants{rows}"
                )
        return self

    @property
    def label_delay_ms(self) -> int:
        """How long after the payment its label becomes known."""
        return span_ms(self.label_delay)

    @property
    def used(self) -> tuple[str, ...]:
        """The columns of the table that are read."""
        found = [*self.attributes.values(), *self.numbers.values()]
        for field in self.columns:
            found += self.columns_of(field)
        return tuple(dict.fromkeys(found))

    def columns_of(self, field: str) -> tuple[str, ...]:
        """The columns that a field is read from."""
        named = self.columns.get(field, ())
        return (named,) if isinstance(named, str) else named


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
