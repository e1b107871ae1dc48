"""What the control plane's topics hold, as the AsyncAPI document says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring.kafka.topic_names import Topics

Schema = dict[str, Any]
_TOPICS = Topics()
_JSON, _BYTES = "application/json", "application/octet-stream"
_VERSION = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_MS = {**_COUNT, "description": "Milliseconds since 1970."}
_HEADERS: Schema = {
    "type": "object",
    "properties": {
        "sequence": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "Rises with each record. Of one key, what is not above the "
            "last that was taken is passed over.",
        },
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
    "required": ["sequence", "sha256"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlMessage:
    """A kind of record: its key, and what its value is; no payload: bytes."""

    key: str
    says: str
    payload: Schema | None = None
    headers: Schema | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlChannel:
    """A topic of the control plane's: what it means, and its records by name."""

    says: str
    messages: Mapping[str, ControlMessage]


def _object(required: str, **properties: Any) -> Schema:
    """An object that may grow: a reader passes over what it does not know."""
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required.split()),
    }


_CANDIDATE = _object("policy share", policy=_VERSION, share={"type": "number"})
_ENTRY = _object(
    "hash until_ms",
    hash={"type": "string", "pattern": "^[0-9a-f]{16}$"},
    until_ms={**_COUNT, "description": "Event time at which it ends; 0: removed."},
)
_TRIPPED = _object(
    "policy rule at_ms",
    policy=_VERSION,
    rule=_TEXT,
    at_ms=_MS,
    declines=_COUNT,
    decisions=_COUNT,
    share={"type": "number"},
)
CONTROL_CHANNELS: dict[str, ControlChannel] = {
    _TOPICS.control: ControlChannel(
        says="What the control plane released. Written in transactions, in one order, "
        "by the one copy that holds the lease; read from its start and followed.",
        messages={
            "controlPolicy": ControlMessage(
                key="`policy`",
                says="The release in force.",
                payload=_object(
                    "release policy",
                    release=_COUNT,
                    policy=_VERSION,
                    candidate={"anyOf": [_CANDIDATE, {"type": "null"}]},
                    shadow={"type": "array", "items": _VERSION},
                    rearmed={"type": "object", "additionalProperties": _MS},
                    by=_TEXT,
                    why=_TEXT,
                    published_at_ms=_MS,
                ),
                headers=_HEADERS,
            ),
            "controlPolicyText": ControlMessage(
                key="`policy/` and the version",
                says="The text of a version; written before the release that names it, "
                "and never deleted.",
                payload=_object(
                    "version text",
                    version=_VERSION,
                    text=_TEXT,
                    reasons={"type": ["string", "null"]},
                ),
                headers=_HEADERS,
            ),
            "controlList": ControlMessage(
                key="`list/` and the name",
                says="A list: its chunks in order, and its revision.",
                payload=_object(
                    "list revision base count",
                    list=_TEXT,
                    revision=_COUNT,
                    base={"type": "array", "items": _TEXT},
                    count=_COUNT,
                ),
                headers=_HEADERS,
            ),
            "controlListChunk": ControlMessage(
                key="`list/`, the name, `/chunk/` and its id",
                says="Entries sorted by hash, 16 bytes each, little endian: the hash, "
                "and the event time in milliseconds at which the entry ends.",
                headers=_HEADERS,
            ),
            "controlListChange": ControlMessage(
                key="`list/`, the name, `/change/` and the revision",
                says="Entries set or removed since the base.",
                payload=_object(
                    "list revision entries",
                    list=_TEXT,
                    revision=_COUNT,
                    entries={"type": "array", "items": _ENTRY},
                ),
                headers=_HEADERS,
            ),
        },
    ),
    _TOPICS.control_replicas: ControlChannel(
        says="What each process runs, every second and after each change.",
        messages={
            "controlReplica": ControlMessage(
                key="The replica's id.",
                says="A report of one replica.",
                payload=_object(
                    "replica at_ms policy",
                    replica=_TEXT,
                    door=_TEXT,
                    process=_COUNT,
                    started_at_ms=_MS,
                    at_ms=_MS,
                    policy=_VERSION,
                    candidate=_TEXT,
                    release=_COUNT,
                    list_revision=_COUNT,
                    refused=_TEXT,
                    tripped={"type": "array", "items": _TRIPPED},
                    ended={
                        "type": "boolean",
                        "description": "The process ends; this is its last report.",
                    },
                ),
            )
        },
    ),
}


def control_messages() -> Schema:
    """Every message of these topics, by its name in the document."""
    return {
        name: _message(name, message)
        for channel in CONTROL_CHANNELS.values()
        for name, message in channel.messages.items()
    }


def _message(name: str, message: ControlMessage) -> Schema:
    key = {"type": "string", "description": message.key}
    told: Schema = {
        "name": name,
        "title": message.key.replace("`", ""),
        "summary": message.says,
        "contentType": _BYTES if message.payload is None else _JSON,
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
    }
    if message.payload is not None:
        told["payload"] = message.payload
    if message.headers is not None:
        told["headers"] = message.headers
    return told
