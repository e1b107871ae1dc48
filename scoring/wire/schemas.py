"""The schemas of the topics' values, made from the messages themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from google.protobuf import descriptor_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from scoring.core.decision.decision import DegradationCode
from scoring.core.transaction.fields import Field
from scoring.core.transaction.transaction import DERIVED, FIELDS
from scoring.v1 import decision_pb2, transaction_pb2
from scoring.wire.proto_text import meanings

Schema = dict[str, Any]
Row = Sequence[str]
# What a topic's value is, by the topic's name without its prefix.
MESSAGES: dict[str, Descriptor] = {
    "transactions": transaction_pb2.Transaction.DESCRIPTOR,
    "decisions": decision_pb2.Decision.DESCRIPTOR,
    "labels": transaction_pb2.Label.DESCRIPTOR,
    "events": transaction_pb2.LifecycleEvent.DESCRIPTOR,
    "transactions.dead-letter": transaction_pb2.DeadLetter.DESCRIPTOR,
    "labels.dead-letter": transaction_pb2.DeadLetter.DESCRIPTOR,
    "events.dead-letter": transaction_pb2.DeadLetter.DESCRIPTOR,
}
_F = FieldDescriptor
_WHOLE = {"type": ["string", "integer"], "pattern": "^-?[0-9]+$"}
_REAL = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
# Messages whose JSON is of its own kind. A Struct holds features by name; the finite
# ones are numbers, and what is not known is null.
_KINDS: dict[str, Schema] = {
    timestamp_pb2.Timestamp.DESCRIPTOR.full_name: {
        "type": "string",
        "format": "date-time",
    },
    struct_pb2.Struct.DESCRIPTOR.full_name: {
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                {"type": ["number", "null"]},
                {"enum": ["Infinity", "-Infinity"]},
            ]
        },
    },
}
_SCALARS: dict[int, Schema] = {
    _F.TYPE_STRING: {"type": "string"},
    _F.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    _F.TYPE_BOOL: {"type": "boolean"},
    _F.TYPE_INT32: {"type": "integer"},
    _F.TYPE_UINT32: {"type": "integer", "minimum": 0},
    # JSON numbers do not hold 64 bits: they are written as strings.
    _F.TYPE_INT64: _WHOLE,
    _F.TYPE_UINT64: _WHOLE,
    _F.TYPE_DOUBLE: _REAL,
    _F.TYPE_FLOAT: _REAL,
}


def descriptor_set() -> bytes:
    """Every message on the topics, with all it needs, as a FileDescriptorSet."""
    files = (
        struct_pb2.DESCRIPTOR,
        timestamp_pb2.DESCRIPTOR,
        transaction_pb2.DESCRIPTOR,
        decision_pb2.DESCRIPTOR,
    )
    found = descriptor_pb2.FileDescriptorSet()
    for file in files:
        file.CopyToProto(found.file.add())
    return found.SerializeToString(deterministic=True)


def json_schema(message: Descriptor, *, title: str) -> Schema:
    """The JSON Schema (2020-12) of a message's canonical JSON.

    Names we do not know are not refused by the schema: a consumer must bear fields
    that a later version adds. The service itself refuses them on its inputs.

    >>> made = json_schema(transaction_pb2.Label.DESCRIPTOR, title="labels")
    >>> made["$defs"]["Label"]["properties"]["transactionId"]
    {'type': 'string'}
    """
    found: dict[str, Schema] = {}
    _define(message, found)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$ref": f"#/$defs/{message.name}",
        "$defs": dict(sorted(found.items())),
    }


def _define(message: Descriptor, found: dict[str, Schema]) -> Schema:
    if message.full_name in _KINDS:
        return dict(_KINDS[message.full_name])
    if message.name not in found:
        schema: Schema = {"type": "object", "properties": {}}
        found[message.name] = schema  # first: a message may hold itself
        schema["properties"] = {
            field.json_name: _field(field, found) for field in message.fields
        }
    return {"$ref": f"#/$defs/{message.name}"}


def _field(field: FieldDescriptor, found: dict[str, Schema]) -> Schema:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        value = _single(kind.fields_by_name["value"], found)
        return {"type": "object", "additionalProperties": value}
    single = _single(field, found)
    return {"type": "array", "items": single} if field.is_repeated else single


def _single(field: FieldDescriptor, found: dict[str, Schema]) -> Schema:
    if field.message_type is not None:
        return _define(field.message_type, found)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    return _SCALARS[field.type]


def _enum(kind: EnumDescriptor) -> Schema:
    return {"enum": [value.name for value in kind.values]}


def _page(title: str, says: str, head: Sequence[str], rows: Iterable[Row]) -> bytes:
    table = [head, ["---"] * len(head), *rows]
    lines = [f"# {title}", "", says, "", *(f"| {' | '.join(row)} |" for row in table)]
    return ("\n".join(lines) + "\n").encode()


def fields_page() -> bytes:
    """The declared fields of a transaction as a table, for people."""
    says = meanings("transaction.proto", "message Transaction")

    def row(field: Field) -> Row:
        kind, role = field.type.name.lower(), field.role.name.lower()
        meaning = says[field.path.partition(".")[0]]
        if field.personal:
            meaning += " Personal."
        return str(field.number), f"`{field.path}`", kind, role, meaning

    def derived(field: Field, of: str) -> Row:
        kind, role = field.type.name.lower(), field.role.name.lower()
        what = "" if field.form is None else field.form.what
        told = f"{what[:1].upper()}{what[1:]}; worked out of `{of}`, never sent."
        return "", f"`{field.name}`", kind, role, told

    return _page(
        "The fields of a transaction",
        "Made from their declaration by `make docs`. Lists and segments ask for "
        "entities and categories; any text may be a feature's entity or counterpart. "
        "What is personal is in no log, metric or error; `scoring forget` erases it.",
        ("number", "field", "type", "role", "meaning"),
        [*map(row, FIELDS), *(derived(*each) for each in DERIVED.items())],
    )


def degradations_page() -> bytes:
    """The declared degradations as a table, for people."""
    says = meanings("decision.proto", "enum DegradationCode")

    def row(code: DegradationCode) -> Row:
        meaning = says[f"DEGRADATION_CODE_{code.name}"]
        return f"`{code.name}`", f"`{code.rung.name}`", meaning

    return _page(
        "What can be missing when we decide",
        "Made from their declaration by `make docs`. A policy's fallbacks name them in "
        "lower case; the rung says how much of the path was left.",
        ("degradation", "rung", "meaning"),
        map(row, filter(None, DegradationCode)),
    )


def published() -> dict[str, Callable[[], bytes]]:
    """The files of docs/schemas, by name."""

    def rendered(topic: str, message: Descriptor) -> bytes:
        return (json.dumps(json_schema(message, title=topic), indent=2) + "\n").encode()

    return {
        "scoring-v1.binpb": descriptor_set,
        "transaction-fields.md": fields_page,
        "degradations.md": degradations_page,
        **{
            f"{topic}.schema.json": partial(rendered, topic, message)
            for topic, message in MESSAGES.items()
            if topic not in ("labels.dead-letter", "events.dead-letter")
            # as transactions.dead-letter
        },
    }
