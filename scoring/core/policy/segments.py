"""Segments: which transactions a threshold, a limit or a fallback is for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from scoring.core.document import several
from scoring.core.features.readable import is_keyed, text_of
from scoring.core.transaction.transaction import (
    AMOUNT_MINOR_MAX,
    FIELD_OF,
    READ_FIELDS,
    TEXT_CHARACTERS_MAX,
    Transaction,
    never,
)

T = TypeVar("T")
Matches = Callable[[Transaction], bool]
Amount = Callable[[Transaction], int | None]


Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX)], ...],
    BeforeValidator(several),
    Field(min_length=1, max_length=10_000),
]
_Key = Annotated[str, Field(min_length=1, max_length=64)]
_SELECTED = tuple(field.name for field in READ_FIELDS if field.is_selectable)
if TYPE_CHECKING:
    Selected = BaseModel
else:  # a field of texts for each field that a segment may ask for
    Selected = create_model("Selected", **dict.fromkeys(_SELECTED, (Texts, ())))


class Where(Selected):
    """A segment: every field that is written must match; one of its texts each.

    Amounts are minor units of the catalogue's reference currency: from, and below.
    A transaction whose field is not known matches no segment that asks for it. Of the
    caller's own, `attributes.plan: gold` asks for the text under a key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attributes: tuple[tuple[_Key, Texts], ...] = ()
    amount_minor_from: int = Field(0, ge=0, le=AMOUNT_MINOR_MAX)
    amount_minor_below: int | None = Field(None, ge=1, le=AMOUNT_MINOR_MAX)

    @model_validator(mode="before")
    @classmethod
    def _by_key(cls, written: object) -> object:
        """Let `attributes.plan` be written as one word."""
        if not isinstance(written, dict):
            return written
        keyed = sorted(str(name) for name in written if is_keyed(str(name)))
        fields = {k: v for k, v in written.items() if k not in keyed}
        if keyed:
            own = ((name.partition(".")[2], written[name]) for name in keyed)
            fields["attributes"] = tuple(own)
        return fields

    @field_validator(*_SELECTED)
    @classmethod
    def _occurs(cls, texts: tuple[str, ...], field: ValidationInfo) -> tuple[str, ...]:
        for text in texts:
            if why := never(field.field_name or "", text):
                raise ValueError(f"{text!r} never occurs: {why}")
        return texts

    @model_validator(mode="after")
    def _meaningful(self) -> Where:
        if not self.model_fields_set:
            raise ValueError("is empty: name a field, or leave `where` out")
        below = self.amount_minor_below
        if below is None and "amount_minor_below" in self.model_fields_set:
            raise ValueError("amount_minor_below is empty: write a number or leave it")
        if below is not None and below <= self.amount_minor_from:
            raise ValueError("amount_minor_below must exceed amount_minor_from")
        return self


def matcher(where: Where, amount: Amount) -> Matches:
    """Whether a transaction lies in a segment.

    >>> at_shop = matcher(Where(merchant="m1"), lambda t: t.amount_minor)
    >>> at_shop(Transaction("default", "t1", merchant="m1"))
    True
    """
    asked = [(name, _values(name, texts)) for name, texts in texts_of(where).items()]
    keyed = [
        (text_of(f"attributes.{key}"), frozenset(texts))
        for key, texts in where.attributes
    ]
    low, high = where.amount_minor_from, where.amount_minor_below
    bounded = bool({"amount_minor_from", "amount_minor_below"} & where.model_fields_set)

    def matches(t: Transaction) -> bool:
        for name, allowed in asked:
            if getattr(t, name) not in allowed:
                return False
        for read, allowed_texts in keyed:
            if read(t) not in allowed_texts:
                return False
        if not bounded:
            return True
        minor = amount(t)
        return minor is not None and minor >= low and (high is None or minor < high)

    return matches


def texts_of(where: Where) -> dict[str, tuple[str, ...]]:
    """The texts of the fields that a segment asks for."""
    return {name: texts for name in _SELECTED if (texts := getattr(where, name))}


def _values(name: str, texts: tuple[str, ...]) -> frozenset[str | int]:
    """What a transaction holds for these texts."""
    members = FIELD_OF[name].members
    return frozenset(int(members[text]) if members else text for text in texts)


@dataclass(frozen=True, slots=True)
class Choice(Generic[T]):
    """A value by segment: the first segment that matches, else the default.

    Cases that name merchants or categories are found by look-up, so that
    thousands of them cost no more than one.
    """

    default: T
    cases: tuple[tuple[Matches, T], ...] = ()
    by_merchant: dict[str, list[int]] | None = None
    by_category: dict[str, list[int]] | None = None
    others: tuple[int, ...] = ()

    def resolve(self, t: Transaction) -> T:
        """The value for a transaction."""
        if not self.cases:
            return self.default
        assert self.by_merchant is not None
        assert self.by_category is not None
        first = len(self.cases)
        for candidates in (
            self.by_merchant.get(t.merchant, ()),
            self.by_category.get(t.merchant_category, ()),
            self.others,
        ):
            for i in candidates:
                if i >= first:
                    break
                if self.cases[i][0](t):
                    first = i
                    break
        return self.cases[first][1] if first < len(self.cases) else self.default


def choice(default: T, cases: Sequence[tuple[Where, T]], amount: Amount) -> Choice[T]:
    """Compile values by segment, in order of precedence.

    >>> by = choice(1, [(Where(merchant="m1"), 2)], lambda t: t.amount_minor)
    >>> by.resolve(Transaction("default", "t1")), by.resolve(
    ...     Transaction("default", "t1", merchant="m1"))
    (1, 2)
    """
    by_merchant: dict[str, list[int]] = {}
    by_category: dict[str, list[int]] = {}
    others: list[int] = []
    for i, (where, _) in enumerate(cases):
        texts = texts_of(where)
        merchants = texts.get("merchant", ())
        categories = texts.get("merchant_category", ())
        for merchant in merchants:
            by_merchant.setdefault(merchant, []).append(i)
        for category in () if merchants else categories:
            by_category.setdefault(category, []).append(i)
        if not merchants and not categories:
            others.append(i)
    compiled = tuple((matcher(where, amount), value) for where, value in cases)
    return Choice(default, compiled, by_merchant, by_category, tuple(others))
