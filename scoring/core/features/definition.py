"""The file of feature definitions as people write it: fields, limits, refusals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from scoring.core.document import several
from scoring.core.features.event_fields import EVENT_AMOUNT
from scoring.core.features.expression import (
    OUTCOME,
    names_of,
    parse,
    parse_filter,
    reads_event,
)
from scoring.core.features.rates_file import COLUMNS
from scoring.core.features.readable import PAYMENT, require_measure, require_text
from scoring.core.features.statistic import STATISTICS, Statistic
from scoring.core.transaction.codes import CURRENCIES, CURRENCY_DIGITS

_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")
SPAN_MS_MIN = 60_000
SPAN_MS_MAX = 90 * 86_400_000
_STATISTIC_LIST = ", ".join(STATISTICS)
TRIM_DEFAULT = 2.6  # a payment above 2.6 x the running mean is not "normal"


def span_ms(text: str) -> int:
    """Milliseconds of "1m" to "90d".

    >>> span_ms("7d")
    604800000
    """
    match = _SPAN.fullmatch(text)
    if not match:
        raise ValueError(f'{text!r} must be a span such as "5m", "1h" or "30d"')
    length = int(match[1]) * _UNITS_MS[match[2]]
    if not SPAN_MS_MIN <= length <= SPAN_MS_MAX:
        raise ValueError(f"{text!r} must lie between 1m and 90d")
    return length


def _checked_span(text: str) -> str:
    span_ms(text)
    return text


def _checked_filter(text: str) -> str:
    if text:
        parse_filter(text)
    return text


Span = Annotated[
    str,
    BeforeValidator(lambda v: str(v) if isinstance(v, int) else v),
    AfterValidator(_checked_span),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Prior(_Strict):
    """A share before any evidence: (frauds + k) / (transactions + n)."""

    frauds: float = Field(ge=0, allow_inf_nan=False)
    transactions: float = Field(ge=0, allow_inf_nan=False)


class Currency(_Strict):
    """The currency that amounts are compared in; rates are a file of their own."""

    reference: str

    @model_validator(mode="before")
    @classmethod
    def _no_rates(cls, written: object) -> object:
        if isinstance(written, dict) and "rates" in written:
            raise ValueError(_moved(written))
        return written

    @field_validator("reference")
    @classmethod
    def _known(cls, code: str) -> str:
        if why := CURRENCIES.refusal(code):
            raise ValueError(why)
        return code


def _moved(written: Mapping[str, object]) -> str:
    """What to do with rates between minor units, as definitions held them once.

    >>> print(_moved({"reference": "EUR", "rates": {"JPY": 0.6}}))
    delete `rates`: they are a file of their own, SCORING_RATES_FILE, which holds:
    from,currency,reference,rate
    1970-01-01,JPY,EUR,0.006
    """
    told = "delete `rates`: they are a file of their own, SCORING_RATES_FILE"
    reference, rates = str(written.get("reference")), written["rates"]
    if not rates or not isinstance(rates, Mapping):
        return told
    lines = [f"{told}, which holds:", ",".join(COLUMNS)]
    for code, rate in rates.items():
        steps = CURRENCY_DIGITS.get(code, 0) - CURRENCY_DIGITS.get(reference, 0)
        try:
            whole = f"{Decimal(str(rate)).scaleb(steps).normalize():f}"
        except ArithmeticError:
            whole = str(rate)
        lines.append(f"1970-01-01,{code},{reference},{whole}")
    return "\n".join(lines)


class Limits(_Strict):
    """What bounds the memory of one entity."""

    events_max: int = Field(512, ge=64, le=2_048)
    distinct_max: int = Field(256, ge=16, le=1_024)


class Definition(_Strict):
    """One feature, or one per window where the name holds {window}."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*(\{window\})?[a-z0-9_]*$", max_length=64
    )
    entity: str = "transaction"
    statistic: str
    windows: tuple[Span, ...] = ()
    delay: Span | None = None
    filter: Annotated[str, AfterValidator(_checked_filter)] = ""
    measure: str = "amount"
    of: str = ""
    expression: str = ""
    trim: float = Field(TRIM_DEFAULT, gt=1, le=100)
    prior: Prior = Prior(frauds=0, transactions=0)
    default: float | None = Field(None, allow_inf_nan=False)
    unit: str = ""
    reason_group: str = Field(pattern="^[A-Z][A-Z0-9_]*$")
    description: str = Field(min_length=1, max_length=200)

    @field_validator("statistic")
    @classmethod
    def _known_statistic(cls, name: str) -> str:
        if name not in STATISTICS:
            raise ValueError(f"unknown statistic {name!r}; known: {_STATISTIC_LIST}")
        return name

    @field_validator("measure")
    @classmethod
    def _known_measure(cls, name: str) -> str:
        if name != EVENT_AMOUNT:
            require_measure(name)
        return name

    @field_validator("of")
    @classmethod
    def _known_field(cls, name: str) -> str:
        if name and name != PAYMENT:
            require_text(name)
        return name

    @field_validator("expression")
    @classmethod
    def _evaluates(cls, text: str) -> str:
        if text and parse(text).kind == "text":
            raise ValueError("must be a number or a truth, but is a text")
        if text and OUTCOME in names_of(text):
            raise ValueError("a transaction's own outcome is not decided yet")
        if text and reads_event(text):
            raise ValueError("a transaction is judged before anything happens to it")
        return text

    @model_validator(mode="after")
    def _fits_statistic(self) -> Definition:
        statistic = STATISTICS[self.statistic]
        given = self.model_fields_set & {
            "delay", "filter", "measure", "of", "expression", "trim", "prior",
        }  # fmt: skip
        for field in sorted(statistic.needs - given):
            raise ValueError(f"statistic {self.statistic!r} needs the field {field!r}")
        for field in sorted(given - statistic.needs - statistic.takes):
            raise ValueError(f"statistic {self.statistic!r} takes no {field!r}")
        if OUTCOME in names_of(self.filter) and not statistic.counts_outcomes:
            named = ", ".join(n for n, s in STATISTICS.items() if s.counts_outcomes)
            raise ValueError(f"only {named} can be filtered by the outcome")
        self._fits_events(statistic)
        if statistic.windowed != bool(self.windows):
            verb = "needs" if statistic.windowed else "takes no"
            raise ValueError(f"statistic {self.statistic!r} {verb} windows")
        if len(self.windows) > 1 and "{window}" not in self.name:
            raise ValueError("a name with several windows must hold {window}")
        return self

    def _fits_events(self, statistic: Statistic) -> None:
        named = ", ".join(n for n, s in STATISTICS.items() if s.counts_events)
        if not self.of_events:
            if self.measure == EVENT_AMOUNT:
                told = "say which events, as in filter: event == 'REFUNDED'"
                raise ValueError(f"measure {EVENT_AMOUNT!r}: {told}")
        elif not statistic.counts_events:
            raise ValueError(f"only {named} can be filtered by lifecycle events")
        elif OUTCOME in names_of(self.filter):
            raise ValueError("a filter reads lifecycle events or the outcome, not both")

    @property
    def of_events(self) -> bool:
        """Whether it is a statistic over lifecycle events."""
        return reads_event(self.filter)

    @property
    def measured(self) -> str:
        """What it adds up or compares: of events their own amount, unless it says."""
        if self.of_events and "measure" not in self.model_fields_set:
            return EVENT_AMOUNT
        return self.measure


class DefinitionFile(_Strict):
    """The whole file."""

    name: str = Field(pattern="^[a-z][a-z0-9-]*$")
    currency: Currency
    entities: dict[str, tuple[str, ...]]
    limits: Limits = Limits()
    horizon: Span = "90d"
    features: tuple[Definition, ...] = Field(min_length=1, max_length=1_000)

    @field_validator("entities", mode="before")
    @classmethod
    def _single_field(cls, entities: object) -> object:
        if isinstance(entities, dict):
            return {k: several(v) for k, v in entities.items()}
        return entities

    @field_validator("entities")
    @classmethod
    def _known_fields(
        cls, entities: dict[str, tuple[str, ...]]
    ) -> dict[str, tuple[str, ...]]:
        for name, fields in entities.items():
            if name == "transaction" or not re.fullmatch("[a-z][a-z0-9_]{0,31}", name):
                raise ValueError(f"{name!r} cannot name an entity")
            for field in fields:
                require_text(field)
            if not 1 <= len(fields) <= 2:  # noqa: PLR2004
                raise ValueError(f"{name!r} must be one field or a pair")
        return entities
