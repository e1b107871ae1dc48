"""A transaction's limits and its card-number guard, derived from its declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from scoring.core.generated_code import function_from
from scoring.core.transaction.card_number import (
    field_with_card_number,
    holds_card_number,
    may_hold_card_number,
)
from scoring.core.transaction.event_time import implausible
from scoring.core.transaction.fields import (
    Field,
    FieldType,
    Role,
    any_of,
    together,
)
from scoring.errors import CardNumberRefused, InvalidTransaction

_CODES_MAX = 4_096  # combinations of codes remembered as valid
NOTHING: frozenset[str] = frozenset()


class Validate(Protocol):
    """Raises `InvalidTransaction` naming a field outside its limits.

    `exempt` names the fields whose digits are never taken for a card number
    (purely numeric ids).
    """

    def __call__(self, transaction: Any, *, exempt: frozenset[str] = NOTHING) -> None:
        """Check one transaction."""


def validator(fields: Sequence[Field]) -> Validate:
    """The function that holds a transaction to the limits of its fields.

    Straight code with no loop over fields: each transaction of each door passes it, and
    one test passes over the fields that most of them lack. Card numbers are looked for
    before forms: who sends one is to be told that.
    """
    scope: dict[str, Any] = {
        "InvalidTransaction": InvalidTransaction,
        "CardNumberRefused": CardNumberRefused,
        "NOTHING": NOTHING,
        "implausible": implausible,
        "may_hold_card_number": may_hold_card_number,
        "field_with_card_number": field_with_card_number,
        "lacks": lacks(fields, lambda t, field: bool(getattr(t, field.name))),
        "not_a_text": _not_a_text(fields),
        "digits_of": _digits_of,
    }
    usual = [field for field in fields if not field.is_rare]
    rare = [field for field in fields if field.is_rare]
    lines = [*_limits(usual, scope), f"joined = {_joined(usual)}", *_printable(usual)]
    if rare:
        limits = [*_limits(rare, scope), f"more = {_joined(rare)}"]
        limits += [*_printable(rare, "more"), "joined = f'{joined}x{more}'"]
        lines += [f"rare = {any_of(rare)}", *_if("rare", limits)]
    lines += _guard(fields, scope)
    if formed := _forms(rare, scope):
        lines += _if("rare", formed)
    source = "\n    ".join(["def validate(t, *, exempt=NOTHING):", *lines])
    made: Validate = function_from(source, "validate", scope)
    return made


def lacks(
    fields: Sequence[Field], knows: Callable[[Any, Field], bool]
) -> Callable[[Any], InvalidTransaction]:
    """The error of what lacks required fields: of the first, and naming the others.

    `knows` says whether such a thing has a field.
    """
    required = [field for field in fields if _is_required(field)]

    def refusal(of: Any) -> InvalidTransaction:
        first, *others = (field for field in required if not knows(of, field))
        if not others:
            return InvalidTransaction(first.path, _lack_of(first))
        so = f"so {'are' if others[1:] else 'is'}"
        named = " and ".join(field.path for field in others)
        return InvalidTransaction(first.path, f"is required; {so} {named}")

    return refusal


def _lack_of(field: Field) -> str:
    if field.type is FieldType.INSTANT:
        return implausible(0)
    return f"is required, {field.codes.what}" if field.codes else "is required"


def _is_required(field: Field) -> bool:
    """Whether it has to be sent; what has a pattern says itself what it must be."""
    return field.required and field.pattern is None


def _if(condition: str, lines: list[str]) -> list[str]:
    return [f"if {condition}:", *(f"    {line}" for line in lines)]


def _limits(fields: Sequence[Field], scope: dict[str, Any]) -> list[str]:
    """The limits of each field by itself."""
    return [
        *_patterns(fields, scope),
        *_required(fields),
        *(line for f in fields for line in _number(f)),
        *_codes(fields, scope),
        *_within_messages(fields),
        *_maps(fields, scope),
    ]


def _refuse(condition: str, field: Field, told: str) -> list[str]:
    refused = f"raise InvalidTransaction({field.path!r}, {told!r})"
    return [f"if {condition}:", f"    {refused}"]


def _required(fields: Sequence[Field]) -> list[str]:
    required = [f"t.{field.name}" for field in fields if _is_required(field)]
    known = " and ".join(required)
    return [f"if not ({known}):", "    raise lacks(t)"] if required else []


def _patterns(fields: Sequence[Field], scope: dict[str, Any]) -> list[str]:
    lines = []
    for field in fields:
        if field.type is FieldType.TEXT and field.pattern is not None:
            scope[f"fits_{field.name}"] = field.pattern.fullmatch
            fits = f"not fits_{field.name}(t.{field.name})"
            lines += _refuse(fits, field, field.told)
    return lines


def _joined(fields: Sequence[Field]) -> str:
    """All texts at once. An `x` parts them, which is printable, so that no two make one
    card number.
    """
    own = "x".join(f"{{t.{f.name}}}" for f in fields if f.type is FieldType.TEXT)
    return f"f'{own}'"


def _printable(fields: Sequence[Field], joined: str = "joined") -> list[str]:
    """Refuses the texts that are joined where one is too long or not printable."""
    tokens = [field for field in fields if field.is_token]
    least = min(field.characters_max for field in tokens)
    too_long = " or ".join(f"len(t.{f.name}) > {f.characters_max}" for f in tokens)
    return [
        f"if not {joined}.isprintable() or len({joined}) > {least} and ({too_long}):",
        "    raise not_a_text(t)",
    ]


def _not_a_text(fields: Sequence[Field]) -> Callable[[Any], InvalidTransaction]:
    """The error of the first text that is too long or not printable."""

    def refusal(t: Any) -> InvalidTransaction:
        guilty = next(
            f
            for f in fields
            if f.is_token
            and (
                len(text := getattr(t, f.name)) > f.characters_max
                or not text.isprintable()
            )
        )
        told = f"must be at most {guilty.characters_max} printable characters"
        return InvalidTransaction(guilty.path, told)

    return refusal


def _number(field: Field) -> list[str]:
    """A number's limits; NaN fails every comparison, so it is refused as well."""
    value = f"t.{field.name}"
    if field.type is FieldType.INSTANT:
        return [
            f"if why := implausible({value}):",
            f"    raise InvalidTransaction({field.path!r}, why)",
        ]
    if field.type is FieldType.NAME:
        told = f"is not a known {field.name.replace('_', ' ')}"
        return _refuse(f"not 0 <= {value} <= {field.high:d}", field, told)
    if (
        field.type not in {FieldType.WHOLE, FieldType.MONEY, FieldType.REAL}
        or "." in field.path
    ):
        return []
    known = f"{value} is not None and " if field.absent is None else ""
    return _refuse(f"{known}not {_span(field, value)}", field, _between(field))


def _span(field: Field, value: str) -> str:
    return f"{field.low!r} <= {value} <= {field.high!r}"


def _between(field: Field) -> str:
    return f"must lie between {field.low} and {field.high}"


def _within_messages(fields: Sequence[Field]) -> list[str]:
    """Fields of one message are given together: half a place is none."""
    lines = []
    for inner in together(fields):
        given = " or ".join(f"t.{field.name} is not None" for field in inner)
        lines.append(f"if {given}:")
        of = inner[0].path.partition(".")[0]
        missing = (
            f"is missing; half a {of} is none: send "
            f"{' and '.join(field.name for field in inner)}, a 0 too, or no {of}"
        )
        for field in inner:
            value = f"t.{field.name}"
            refusals = [
                *_refuse(f"{value} is None", field, missing),
                *_refuse(f"not {_span(field, value)}", field, _between(field)),
            ]
            lines += [f"    {line}" for line in refusals]
    return lines


def _codes(fields: Sequence[Field], scope: dict[str, Any]) -> list[str]:
    """The codes: what they may be together is little, and is remembered."""
    coded = [field for field in fields if field.type is FieldType.CODE]
    if not coded:
        return []

    @lru_cache(maxsize=_CODES_MAX)
    def check(*codes: str) -> None:
        for field, value in zip(coded, codes, strict=True):
            assert field.codes is not None
            if value and (why := field.codes.refusal(value)):
                raise InvalidTransaction(field.path, why)

    own = f"check_codes_{coded[0].number}"
    scope[own] = check
    return [f"{own}({', '.join(f't.{field.name}' for field in coded)})"]


def _forms(fields: Sequence[Field], scope: dict[str, Any]) -> list[str]:
    """Refuses texts that are not in the canonical spelling of their form.

    Doors read any spelling as the canonical one: what they refuse is no such text.
    """
    lines = []
    for field in fields:
        if field.form is not None:
            scope[f"canonical_{field.name}"] = field.form.canonical
            value = f"t.{field.name}"
            wrong = f"{value} and canonical_{field.name}({value}) != {value}"
            lines += _refuse(wrong, field, f"must be {field.form.what}")
    return lines


def _maps(fields: Sequence[Field], scope: dict[str, Any]) -> list[str]:
    lines = []
    for field in fields:
        if field.is_map:
            scope[f"check_{field.name}"] = _map_check(field)
            check = f"check_{field.name}(t.{field.name})"
            lines += _if(f"t.{field.name}", [check])
    return lines


def _map_check(field: Field) -> Callable[[Mapping[str, Any]], None]:
    told_of_value = (
        _between(field)
        if field.type is FieldType.NUMBERS
        else f"must be at most {field.characters_max} characters"
    )

    def fits(value: Any) -> bool:
        if field.type is FieldType.NUMBERS:
            return bool(field.low <= value <= field.high)  # NaN is no number
        return len(value) <= field.characters_max

    def check(entries: Mapping[str, Any]) -> None:
        if len(entries) > field.entries_max:
            told = f"must hold at most {field.entries_max} entries"
            raise InvalidTransaction(field.path, told)
        for key, value in entries.items():
            if not key or len(key) > field.key_characters_max:
                told = f"keys must be 1-{field.key_characters_max} characters"
                raise InvalidTransaction(_entry(field, key), told)
            if not fits(value):
                raise InvalidTransaction(_entry(field, key), told_of_value)

    return check


def _entry(field: Field, key: str) -> str:
    """The name of an entry as errors may say it: cut, and no card number."""
    shown = key[: field.key_characters_max]
    hides = holds_card_number(key) or holds_card_number(shown)
    known = shown and shown.isprintable() and not hides
    return f"{field.path}.{shown}" if known else field.path


def _guard(fields: Sequence[Field], scope: dict[str, Any]) -> list[str]:
    """Each field by its name, but only where all together may hold a card number."""
    own = sorted(
        (field for field in fields if field.type is FieldType.TEXT),
        key=lambda field: field.role is Role.SCOPE,
    )
    maps = [field for field in fields if field.is_map]
    any_map = "".join(f"t.{field.name} or " for field in maps)
    named = ", ".join(f"{field.path!r}: {_guarded(field, scope)}" for field in own)
    lines = [f"texts = {{{named}}}"]
    for field in maps:
        value = "value" if field.type is FieldType.TEXTS else "digits_of(value)"
        lines += [
            f"for key, value in t.{field.name}.items():",
            f"    texts[f'{field.path}[{{len(texts)}}].key'] = key",
            f"    texts[f'{field.path}.{{key}}'] = {value}",
        ]
    lines += [
        "if guilty := field_with_card_number(texts, exempt):",
        "    raise CardNumberRefused(guilty)",
    ]
    return _if(f"{any_map}may_hold_card_number(joined)", lines)


def _guarded(field: Field, scope: dict[str, Any]) -> str:
    """What of a text may hold a card number."""
    value = f"t.{field.name}"
    if field.form is None:
        return value
    scope[f"no_card_{field.name}"] = field.form.holds_no_card
    return f"'' if no_card_{field.name}({value}) else {value}"


def _digits_of(number: float) -> str:
    """A whole number as a person reads it; a card number may be sent as one.

    >>> _digits_of(4111111111111111.0), _digits_of(0.5)
    ('4111111111111111', '')
    """
    return str(int(number)) if number == int(number) else ""
