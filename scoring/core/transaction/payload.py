"""The identity of a payment: its hash, derived from the declaration of its fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import groupby
from struct import Struct
from typing import Any

from scoring.core.generated_code import function_from
from scoring.core.transaction.fields import Field, FieldType, any_of

_TEXT = Struct(">BI")
_NUMBER = Struct(">Bq")
_REAL = Struct(">Bd")
_HEADS_MAX = 8_192  # pairs of field number and length remembered
_CODES_MAX = 4_096  # combinations of codes remembered


def hasher(fields: Sequence[Field]) -> Callable[[Any], bytes]:
    """The function that gives a transaction's payload hash.

    SHA-256 (32 bytes) over the known fields in the order of their numbers: absent
    ones are omitted (an amount of 0 is there), maps sorted by key, reals enter as IEEE
    bits (in a map a -0.0 as the 0.0 that it equals; no NaN passes the limits).
    Trace context and the dry-run flag are not part of a transaction. Protobuf and
    JSON of one transaction hash equally, and so do releases.
    """
    scope: dict[str, Any] = {
        "head": _head, "number": _NUMBER.pack, "real": _REAL.pack,
        "entries": _entries, "measured": _measured, "sha256": sha256,
    }  # fmt: skip
    lines = ["parts = []"]
    usual = [field for field in fields if not field.is_rare]
    rare = [field for field in fields if field.is_rare]
    for run in _runs(usual, scope):
        lines += _lines(run)
    if rare:
        lines.append(f"if {any_of(rare)}:")
        lines += [f"    {line}" for run in _runs(rare, scope) for line in _lines(run)]
    lines.append("return sha256(b''.join(parts)).digest()")
    source = "\n    ".join(["def payload_hash(t):", *lines])
    made: Callable[[Any], bytes] = function_from(source, "payload_hash", scope)
    return made


def _runs(fields: Sequence[Field], scope: dict[str, Any]) -> Iterator[list[Field]]:
    """The fields that are hashed at once, with what hashes codes put in scope."""
    for key, group in groupby(fields, key=_hashed_with):
        run = list(group)
        if not key:
            scope[f"codes_{run[0].number}"] = _coded(tuple(f.number for f in run))
        yield run


def _hashed_with(field: Field) -> int:
    """Codes that follow each other are hashed at once, and a message's own fields."""
    return 0 if field.type is FieldType.CODE else field.number


def _lines(run: list[Field]) -> list[str]:
    """Statements that add what is known of fields that are hashed at once."""
    field, value = run[0], f"t.{run[0].name}"
    if field.type is FieldType.CODE:
        codes = ", ".join(f"t.{f.name}" for f in run)
        return [f"parts.append(codes_{field.number}({codes}))"]
    if field.type is FieldType.TEXT:
        add = f"parts += (head({field.number}, len(b := {value}.encode())), b)"
    elif field.type is FieldType.TEXTS:
        add = f"parts += entries({field.number}, {value})"
    elif field.type is FieldType.NUMBERS:
        add = f"parts += measured({field.number}, {value})"
    elif field.type is FieldType.REAL:
        reals = " + ".join(f"real({f.number}, t.{f.name})" for f in run)
        add = f"parts.append({reals})"
    else:
        add = f"parts.append(number({field.number}, {value}))"
    if field.type is FieldType.INSTANT and field.required:
        return [add]
    known = [f"t.{f.name}{'' if f.absent is not None else ' is not None'}" for f in run]
    return [f"if {' and '.join(known)}:", f"    {add}"]


def _entries(number: int, texts: Mapping[str, str]) -> list[bytes]:
    return [
        _TEXT.pack(number, len(text)) + text
        for key in sorted(texts)
        for text in (key.encode(), texts[key].encode())
    ]


def _measured(number: int, numbers: Mapping[str, float]) -> list[bytes]:
    return [
        part
        for key in sorted(numbers)
        for text in (key.encode(),)
        for part in (
            _TEXT.pack(number, len(text)) + text,
            _REAL.pack(number, numbers[key] + 0.0),
        )
    ]


def _coded(numbers: tuple[int, ...]) -> Callable[..., bytes]:
    @lru_cache(maxsize=_CODES_MAX)
    def coded(*codes: str) -> bytes:
        """The codes in field order: what they may be together is little."""
        return b"".join(
            _head(number, len(code.encode())) + code.encode()
            for number, code in zip(numbers, codes, strict=True)
            if code
        )

    return coded


@lru_cache(maxsize=_HEADS_MAX)
def _head(number: int, length: int) -> bytes:
    return _TEXT.pack(number, length)
