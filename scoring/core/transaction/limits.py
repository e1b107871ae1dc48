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
from scoring.core.transaction.fields import Field, FieldType, Role, together
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

    Straight code with no loop over fields: each transaction of each door passes it.
    """
    scope: dict[str, Any] = {
        "InvalidTransaction": InvalidTransaction,
        "CardNumberRefused": CardNumberRefused,
        "NOTHING": NOTHING,
        "implausible": implausible,
        "may_hold_card_number": may_hold_card_number,
        "field_with_card_number": field_with_card_number,
        "not_a_text": _not_a_text(fields),
    }
    lines = [
        *_texts(fields, scope),
        *(line for f in fields for line in _number(f)),
        *_codes(fields, scope),
        *_within_messages(fields),
        *_maps(fields, scope),
        *_guard(fields),
    ]
    source = "\n    ".join(["def validate(t, *, exempt=NOTHING):", *lines])
    made: Validate = function_from(source, "validate", scope)
    return made


def _refuse(condition: str, field: Field, told: str) -> list[str]:
    refused = f"raise InvalidTransaction({field.path!r}, {told!r})"
    return [f"if {condition}:", f"    {refused}"]


def _texts(fields: Sequence[Field], scope: dict[str, Any]) -> list[str]:
    """Patterns, what is required, and all tokens at once: one text of them all.

    An `x` parts them, which is printable, so that no two make one card number.
    """
    lines = []
    tokens = [field for field in fields if field.is_token]
    for field in fields:
        if field.type is FieldType.TEXT and field.pattern is not None:
            scope[f"fits_{field.name}"] = field.pattern.fullmatch
            fits = f"not fits_{field.name}(t.{field.name})"
            lines += _refuse(fits, field, field.told)
        elif field.is_token and field.required:
            lines += _refuse(f"not t.{field.name}", field, "is required")
    joined = "x".join(f"{{t.{f.name}}}" for f in fields if f.type is FieldType.TEXT)
    least = min(field.characters_max for field in tokens)
    too_long = " or ".join(f"len(t.{f.name}) > {f.characters_max}" for f in tokens)
    return [
        *lines,
        f"joined = f'{joined}'",
        f"if not joined.isprintable() or len(joined) > {least} and ({too_long}):",
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
            if (value or field.required) and (why := field.codes.refusal(value)):
                raise InvalidTransaction(field.path, why)

    scope["check_codes"] = check
    return [f"check_codes({', '.join(f't.{field.name}' for field in coded)})"]


def _maps(fields: Sequence[Field], scope: dict[str, Any]) -> list[str]:
    lines = []
    for field in fields:
        if field.type is FieldType.TEXTS:
            scope[f"check_{field.name}"] = _map_check(field)
            lines += [f"if t.{field.name}:", f"    check_{field.name}(t.{field.name})"]
    return lines


def _map_check(field: Field) -> Callable[[Mapping[str, str]], None]:
    def check(texts: Mapping[str, str]) -> None:
        if len(texts) > field.entries_max:
            told = f"must hold at most {field.entries_max} entries"
            raise InvalidTransaction(field.path, told)
        for key, value in texts.items():
            if not key or len(key) > field.key_characters_max:
                told = f"keys must be 1-{field.key_characters_max} characters"
                raise InvalidTransaction(_entry(field, key), told)
            if len(value) > field.characters_max:
                told = f"must be at most {field.characters_max} characters"
                raise InvalidTransaction(_entry(field, key), told)

    return check


def _entry(field: Field, key: str) -> str:
    """The name of an entry as errors may say it: cut, and no card number."""
    shown = key[: field.key_characters_max]
    hides = holds_card_number(key) or holds_card_number(shown)
    known = shown and shown.isprintable() and not hides
    return f"{field.path}.{shown}" if known else field.path


def _guard(fields: Sequence[Field]) -> list[str]:
    """Each field by its name, but only where all together may hold a card number."""
    own = sorted(
        (field for field in fields if field.type is FieldType.TEXT),
        key=lambda field: field.role is Role.SCOPE,
    )
    maps = [field for field in fields if field.type is FieldType.TEXTS]
    any_map = "".join(f"t.{field.name} or " for field in maps)
    named = ", ".join(f"{field.path!r}: t.{field.name}" for field in own)
    lines = [f"texts = {{{named}}}"]
    for field in maps:
        lines += [
            f"for key, value in t.{field.name}.items():",
            f"    texts[f'{field.path}[{{len(texts)}}].key'] = key",
            f"    texts[f'{field.path}.{{key}}'] = value",
        ]
    lines += [
        "if guilty := field_with_card_number(texts, exempt):",
        "    raise CardNumberRefused(guilty)",
    ]
    return [
        f"if {any_map}may_hold_card_number(joined):",
        *(f"    {line}" for line in lines),
    ]
