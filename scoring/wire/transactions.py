"""Transactions: protobuf to domain and back, derived from the declaration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from scoring.core.generated_code import function_from
from scoring.core.transaction.fields import Field, FieldType, Role, any_of, together
from scoring.core.transaction.limits import lacks
from scoring.core.transaction.transaction import DEFAULT_TENANT, FIELDS, Transaction
from scoring.v1 import transaction_pb2
from scoring.wire.messages import (
    PROTOBUF,
    message_from_bytes,
    refuse_unknown_fields,
    required_ms,
    timestamp_from_ms,
)

_F = FieldDescriptor
# What the message's field of each type is; a map's are the keys and values.
_KINDS: dict[FieldType, frozenset[int]] = {
    FieldType.TEXT: frozenset({_F.TYPE_STRING}),
    FieldType.CODE: frozenset({_F.TYPE_STRING}),
    FieldType.NAME: frozenset({_F.TYPE_ENUM}),
    FieldType.WHOLE: frozenset({_F.TYPE_UINT32, _F.TYPE_INT64}),
    FieldType.MONEY: frozenset({_F.TYPE_INT64}),
    FieldType.REAL: frozenset({_F.TYPE_DOUBLE}),
    FieldType.INSTANT: frozenset({_F.TYPE_MESSAGE}),
    FieldType.TEXTS: frozenset({_F.TYPE_MESSAGE}),
    FieldType.NUMBERS: frozenset({_F.TYPE_MESSAGE}),
}


def disagreement(fields: Sequence[Field], message: Descriptor) -> str:
    """How a declaration and a message differ, and what to do; "" where they agree.

    >>> disagreement(FIELDS, transaction_pb2.Transaction.DESCRIPTOR)
    ''
    >>> disagreement(FIELDS[1:], transaction_pb2.Transaction.DESCRIPTOR)
    'tenant = 1 is in scoring.v1.Transaction but not declared: add it to \
core/transaction/transaction.py'
    """
    found = dict(_leaves(message))
    for field in fields:
        said = f"{field.path} = {field.number}"
        one = found.pop(field.path, None)
        if one is None or one[0] != field.number:
            return (
                f"{said} is declared but not in {message.full_name}: add it to the "
                ".proto and run `make protos`"
            )
        if one[1].type not in _KINDS[field.type]:
            return f"{said} is declared as a {field.type.name}, which it is not there"
        if field.absent is None and not one[1].has_presence:
            return f"{said} may be left out: write `optional` before it in the .proto"
        if field.members and _members(field) != _values(one[1]):
            return f"{said}: its members are not those of {one[1].enum_type.name}"
    for path, (number, _) in found.items():
        return (
            f"{path} = {number} is in {message.full_name} but not declared: add it to "
            "core/transaction/transaction.py"
        )
    return ""


def _leaves(message: Descriptor) -> list[tuple[str, tuple[int, Any]]]:
    """The fields of a message by their path, those of a message within it too."""
    found: list[tuple[str, tuple[int, Any]]] = []
    for field in message.fields:
        within: Any = field.message_type
        plain = within is None or within.file != message.file
        if plain or within.GetOptions().map_entry:
            found.append((field.name, (field.number, field)))
        else:
            found += [
                (f"{field.name}.{inner.name}", (field.number, inner))
                for inner in within.fields
            ]
    return found


def _members(field: Field) -> set[int]:
    return set(map(int, field.members or ()))


def _values(field: Any) -> set[int]:
    return {value.number for value in field.enum_type.values}


if told := disagreement(FIELDS, transaction_pb2.Transaction.DESCRIPTOR):
    raise TypeError(told)  # a field would be lost in silence


def transaction_from_bytes(raw: bytes, *, content_type: str = PROTOBUF) -> Transaction:
    """Read a transaction; raises `InvalidTransaction`. Limits are not checked here."""
    return transaction_from_proto(
        message_from_bytes(raw, transaction_pb2.Transaction, content_type)
    )


def reader(
    fields: Sequence[Field], kind: type[Any], *, accepted: bool = False
) -> Callable[[Any], Any]:
    """The function that makes a transaction of a message.

    It refuses unknown fields and a missing time; limits are not checked here. What a
    message within says is known, no more: one that says nothing was left out. Texts
    that have a form are read in its spelling, where they have one.

    With `accepted` the message is one that a service wrote. Only whole locations were
    ever accepted, and an earlier release wrote no coordinate that was 0: there, what
    is lacking is 0.
    """
    scope = {
        "kind": kind, "refuse_unknown": refuse_unknown_fields,
        "required_ms": required_ms, "DEFAULT_TENANT": DEFAULT_TENANT,
        "lacks": lacks(fields, _is_said),
    }  # fmt: skip
    for field in fields:
        if field.form is not None:
            scope[f"spelled_{field.name}"] = field.form.spelled
    lines = ["refuse_unknown(m)"]
    for field in fields:
        if field.type is FieldType.INSTANT:
            lines += [f"if not m.HasField({field.path!r}):", "    raise lacks(m)"]
    for inner in together(fields):
        message, own = inner[0].path.partition(".")[0], [f.name for f in inner]
        lines += [
            f"{' = '.join(own)} = None",
            f"if m.HasField({message!r}):",
            f"    refuse_unknown(m.{message}, {message!r})",
            *(f"    {_read_within(field, accepted=accepted)}" for field in inner),
        ]
    lines.append(f"return kind({', '.join(map(_read, fields))})")
    source = "\n    ".join(["def transaction_from_proto(m):", *lines])
    made: Callable[[Any], Any] = function_from(source, "transaction_from_proto", scope)
    return made


def _is_said(message: Any, field: Field) -> bool:
    if field.type is FieldType.INSTANT:
        return bool(message.HasField(field.path))
    return bool(getattr(message, field.path))


def _read_within(field: Field, *, accepted: bool) -> str:
    message, _, own = field.path.partition(".")
    value = f"{field.name} = m.{field.path}"
    return value if accepted else f"if m.{message}.HasField({own!r}): {value}"


def _read(field: Field) -> str:
    value = f"m.{field.path}"
    if "." in field.path:
        return field.name
    if field.role is Role.SCOPE:
        return f"({value} or DEFAULT_TENANT)"
    if field.type is FieldType.INSTANT:
        return f"required_ms(m, {field.path!r})"
    if field.is_map:
        return f"(dict(v) if (v := {value}) else {{}})"
    if field.form is not None:
        return f"(spelled_{field.name}(v) if (v := {value}) else '')"
    if field.absent is None:
        return f"({value} if m.HasField({field.path!r}) else None)"
    return value


def writer(fields: Sequence[Field], kind: type[Any]) -> Callable[[Any], Any]:
    """The function that makes a message of a transaction; absent stays absent."""
    scope = {"kind": kind, "timestamp_from_ms": timestamp_from_ms}
    own = [f for f in fields if "." not in f.path and not (f.is_map or f.is_rare)]
    given = ", ".join(f"{f.path}={_written(f, kind)}" for f in own)
    lines = [f"m = kind({given})"]
    for inner in together(fields):
        known = " and ".join(f"t.{field.name} is not None" for field in inner)
        lines.append(f"if {known}:")
        lines += [f"    m.{field.path} = t.{field.name}" for field in inner]
    lines += [line for f in fields if f.is_map and not f.is_rare for line in _added(f)]
    if rare := [field for field in fields if field.is_rare]:
        lines.append(f"if {any_of(rare)}:")
        lines += [f"    {line}" for field in rare for line in _added(field)]
    source = "\n    ".join(["def transaction_to_proto(t):", *lines, "return m"])
    made: Callable[[Any], Any] = function_from(source, "transaction_to_proto", scope)
    return made


def _added(field: Field) -> list[str]:
    """Statements that write a field where it is known."""
    value = f"t.{field.name}"
    add = f".update({value})" if field.is_map else f" = {value}"
    return [f"if {any_of([field])}:", f"    m.{field.path}{add}"]


def _written(field: Field, kind: type[Any]) -> str:
    value = f"t.{field.name}"
    if field.type is FieldType.INSTANT:
        return f"timestamp_from_ms({value})"
    with_presence = kind.DESCRIPTOR.fields_by_name[field.path].has_presence
    return f"({value} or None)" if with_presence and field.absent == "" else value


transaction_from_proto: Callable[[transaction_pb2.Transaction], Transaction] = reader(
    FIELDS, Transaction
)
# Of what a service of this or an earlier release wrote, not of what a caller sent.
accepted_from_proto: Callable[[transaction_pb2.Transaction], Transaction] = reader(
    FIELDS, Transaction, accepted=True
)
transaction_to_proto: Callable[[Transaction], transaction_pb2.Transaction] = writer(
    FIELDS, transaction_pb2.Transaction
)
