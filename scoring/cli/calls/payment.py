"""The payment that a command asks about: from a file, from stdin, from options."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scoring import wire
from scoring.cli.calls.ending import Misuse
from scoring.core.transaction.fields import Field, FieldType
from scoring.core.transaction.transaction import FIELDS, Transaction
from scoring.errors import InvalidTransaction

_MAPS = {FieldType.TEXTS, FieldType.NUMBERS}
_SHAPES = {
    FieldType.WHOLE: "N", FieldType.MONEY: "MINOR", FieldType.REAL: "X",
    FieldType.INSTANT: "TIME", FieldType.TEXTS: "KEY=TEXT", FieldType.NUMBERS: "KEY=X",
}  # fmt: skip
NOW = "now"


def add_options(parser: ArgumentParser) -> None:
    """Offer a file, and an option for each field of a payment."""
    parser.add_argument(
        "file", nargs="?", default="",
        help="canonical JSON of one payment, as the contract has it; -: from stdin",
    )  # fmt: skip
    group = parser.add_argument_group(
        "the payment", "each field; an option is stronger than the file"
    )
    for field in FIELDS:
        told = "now, or ISO 8601 with a zone" if field.type is FieldType.INSTANT else ""
        if field.type is FieldType.NAME and field.codes:
            told = ", ".join(field.codes.members).lower()
        group.add_argument(
            f"--{_option(field)}", dest=f"field_{field.name}", help=told or None,
            metavar=_SHAPES.get(field.type, "TEXT"),
            action="append" if field.type in _MAPS else "store",
        )  # fmt: skip


def payment_of(options: Namespace) -> Transaction:
    """The payment; raises `Misuse` for what is not one, naming the field."""
    said = _from_file(options.file) if options.file else {}
    for field in FIELDS:
        value = getattr(options, f"field_{field.name}")
        if value is not None:
            _put(said, field, value)
    if not said:
        raise Misuse("", "name a file, - for stdin, or the payment's fields as options")
    try:
        raw = json.dumps(said).encode()
        return wire.transaction_from_bytes(raw, content_type=wire.JSON)
    except InvalidTransaction as error:
        raise Misuse(error.field, error.message) from error


def time_of(text: str, option: str) -> str:
    """A time in ISO 8601; "now" is this instant. Raises `Misuse`.

    >>> time_of("2026-11-30T10:00:00+01:00", "--known-at")
    '2026-11-30T10:00:00+01:00'
    """
    if text == NOW:
        return datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise Misuse(option, "must be now, or ISO 8601 with a zone: 2026-11-30T09:00Z")
    return text


def _option(field: Field) -> str:
    """Its path as people type it; what is within another goes by its own name."""
    return field.path.rpartition(".")[2].replace("_", "-")


def _from_file(name: str) -> dict[str, Any]:
    text = sys.stdin.read() if name == "-" else Path(name).read_text()
    try:
        said = json.loads(text, object_pairs_hook=_each_once)
    except ValueError as error:
        raise Misuse(name, f"is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise Misuse(name, "must hold one payment: a JSON object")
    # Both spellings of a field are canonical JSON; options are written in one.
    return _each_once([(_plain(key), value) for key, value in said.items()])


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for key, value in pairs:
        if key in said:
            raise Misuse(key, "is said twice")
        said[key] = value
    return said


def _plain(key: str) -> str:
    """A JSON name as the contract writes it.

    >>> _plain("amountMinor"), _plain("id")
    ('amount_minor', 'id')
    """
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in key)


def _put(said: dict[str, Any], field: Field, value: Any) -> None:
    inner = said
    *outside, name = field.path.split(".")
    for part in outside:
        inner = inner.setdefault(part, {})
    inner[name] = _value(field, value)


def _value(field: Field, text: Any) -> Any:
    """What JSON has for it; the service judges the rest."""
    option = f"--{_option(field)}"
    if field.type in _MAPS:
        return dict(_pair(field, option, one) for one in text)
    if field.type is FieldType.INSTANT:
        return time_of(text, option)
    if field.type is FieldType.REAL:
        return _number(text, option)
    if field.type is FieldType.NAME and field.members and field.codes:
        word = text.upper().replace("-", "_")
        if why := field.codes.refusal(word):
            raise Misuse(option, why)
        return int(field.members[word])
    return text


def _pair(field: Field, option: str, text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Misuse(option, "must be KEY=VALUE")
    return key, _number(value, option) if field.type is FieldType.NUMBERS else value


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Misuse(option, "must be a number") from None
