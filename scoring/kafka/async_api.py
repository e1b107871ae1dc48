"""The AsyncAPI document of the topics, made from what makes topics and records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from scoring import wire
from scoring.kafka.cloud_events import (
    CHALLENGE,
    DEAD_LETTER,
    DECISION,
    EVENT,
    LABEL,
    event_headers,
)
from scoring.kafka.control_messages import CONTROL_CHANNELS, control_messages
from scoring.kafka.topic_layout import TopicLayout
from scoring.kafka.topic_names import Topics
from scoring.wire.schemas import MESSAGES, Schema

ASYNC_API = "3.0.0"
FILE = "asyncapi.json"
_BINDING = {"bindingVersion": "0.5.0"}
_TOPICS = Topics()
_DESCRIPTION = """\
The topics of the fraud decision service, as it reads and writes them. Their names here
are those without `SCORING_TOPIC_PREFIX`. A value is a protobuf message or its canonical
JSON, as `content-type` says; with `SCORING_SCHEMA_REGISTRY_URL` it follows the
frame of a schema registry's clients. `scoring-v1.binpb` beside this file holds the
descriptors of all messages.

What the doors write is a CloudEvent in Kafka's binary mode. It is delivered at least
once: keep the `ce_id` of what was worked off. Read with
`isolation.level=read_committed`.
"""
_KEY = {
    "type": "string",
    "description": "The card, else the customer; none where a transaction has neither. "
    "The partition is murmur2 of it, as Kafka's own client has it: the payments of one "
    "card keep their order.",
}
_SIDE_BY_SIDE = (
    "As many partitions as `transactions`: a record has the partition of its input."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    """One topic: what it means, which events it has, who appends to it.

    `schema` is the topic whose JSON Schema it shares, where it is not its own.
    """

    says: str
    event: str = ""
    receives: bool = False
    sends: bool = False
    headers: tuple[str, ...] = ()
    schema: str = ""


_SOURCE = ("src", "src-print")
CHANNELS: dict[str, _Channel] = {
    _TOPICS.transactions: _Channel(
        says="Payments to be judged. Each becomes one decision or one dead letter.",
        receives=True,
    ),
    _TOPICS.decisions: _Channel(
        says="Everything decided, through any door, with its accepted transaction. "
        + _SIDE_BY_SIDE,
        event=DECISION,
        sends=True,
        headers=("transaction-id", *_SOURCE, "traceparent"),
    ),
    _TOPICS.labels: _Channel(
        says="What turned out to be true of payments. The service reads it, and "
        "appends what was reported by call.",
        event=LABEL,
        receives=True,
        sends=True,
        headers=("transaction-id",),
    ),
    _TOPICS.events: _Channel(
        says="What happened to payments after their decisions: the issuer's answer, "
        "captured, reversed, refunded. The service reads it, and appends what was "
        "reported by call.",
        event=EVENT,
        receives=True,
        sends=True,
        headers=("transaction-id",),
    ),
    _TOPICS.transactions_dead_letter: _Channel(
        says="Transactions that could not be judged, and why. " + _SIDE_BY_SIDE,
        event=DEAD_LETTER,
        sends=True,
        headers=("transaction-id", *_SOURCE),
    ),
    _TOPICS.labels_dead_letter: _Channel(
        says="Labels that could not be applied, and why. As many partitions as "
        "`labels`.",
        event=DEAD_LETTER,
        sends=True,
        headers=_SOURCE,
        schema=_TOPICS.transactions_dead_letter,
    ),
    _TOPICS.events_dead_letter: _Channel(
        says="Events that could not be applied, and why. As many partitions as "
        "`events`.",
        event=DEAD_LETTER,
        sends=True,
        headers=_SOURCE,
        schema=_TOPICS.transactions_dead_letter,
    ),
    _TOPICS.challenger: _Channel(
        says="What challengers would have decided, without transaction and vector: "
        "`trace.position` names the record that has them. At least as many partitions "
        "as `decisions`.",
        event=CHALLENGE,
        sends=True,
        headers=("transaction-id", "model"),
        schema=_TOPICS.decisions,
    ),
}
_HEADERS: dict[str, str] = {
    "transaction-id": "The id of the transaction, to filter without parsing.",
    "model": "The version of the challenger.",
    "src": "The offset of the input in the partition of the same number.",
    "src-print": "64 bits of the input, in hexadecimal: which record it was.",
    "traceparent": "W3C trace context of who sent it; a decision keeps its input's.",
}
_EVENT_SAYS: dict[str, str] = {
    "ce_specversion": "The version of CloudEvents.",
    "ce_type": "What happened.",
    "ce_source": "Where: the topic, with its prefix.",
    "ce_id": "Which event; the same for a record that is appended twice.",
    "ce_time": "When.",
    "ce_subject": "Of what.",
}
# Not the service's own: an operator may ask for other times and another number.
_LAYOUT = TopicLayout(partitions=4, replication=3)


def document() -> Schema:
    """The whole document; the same in every installation."""
    return {
        "asyncapi": ASYNC_API,
        "info": {
            "title": "Fraud decisions",
            "version": "1",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": wire.PROTOBUF,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "Apache Kafka, as `SCORING_KAFKA_BOOTSTRAP` names it.",
                "variables": {"bootstrap": {"default": "localhost:9092"}},
            }
        },
        "channels": {_id(name): _channel(name) for name in CHANNELS}
        | {_id(name): _control_channel(name) for name in CONTROL_CHANNELS},
        "operations": dict(_operations()) | dict(_control_operations()),
        "components": {"messages": dict(_messages()) | control_messages()},
    }


def rendered() -> bytes:
    """The document as the file that is published."""
    return (json.dumps(document(), indent=2, ensure_ascii=False) + "\n").encode()


def _id(name: str) -> str:
    """A topic's name as generators of code take it.

    >>> _id("transactions.dead-letter")
    'transactionsDeadLetter'
    """
    first, *others = name.replace("-", ".").split(".")
    return first + "".join(map(str.title, others))


def _channel(name: str) -> Schema:
    messages = (f"{_id(name)}Protobuf", f"{_id(name)}Json")
    return _described(name, CHANNELS[name].says, messages)


def _control_channel(name: str) -> Schema:
    channel = CONTROL_CHANNELS[name]
    described = _described(name, channel.says, tuple(channel.messages))
    partitions = _LAYOUT.partitions_of(_TOPICS, name)
    described["bindings"]["kafka"]["partitions"] = partitions
    return described


def _described(name: str, says: str, messages: tuple[str, ...]) -> Schema:
    configs: Schema = dict(_LAYOUT.configs(_TOPICS, name))
    configs["cleanup.policy"] = [configs["cleanup.policy"]]
    configs["retention.ms"] = int(configs["retention.ms"])
    binding = {"topic": name, "replicas": _LAYOUT.replication}
    return {
        "address": name,
        "description": says,
        "messages": {
            message: {"$ref": f"#/components/messages/{message}"}
            for message in messages
        },
        "bindings": {
            "kafka": {**binding, "topicConfiguration": configs, **_BINDING},
        },
    }


def _control_operations() -> Iterator[tuple[str, Schema]]:
    """One end writes, the other reads: nobody else has a part in it."""
    for name in CONTROL_CHANNELS:
        titled = _id(name)[0].upper() + _id(name)[1:]
        to = {"channel": {"$ref": f"#/channels/{_id(name)}"}}
        yield f"receive{titled}", {"action": "receive", **to}
        yield f"send{titled}", {"action": "send", **to}


def _operations() -> Iterator[tuple[str, Schema]]:
    for name, channel in CHANNELS.items():
        to = {"channel": {"$ref": f"#/channels/{_id(name)}"}}
        titled = _id(name)[0].upper() + _id(name)[1:]
        group = {"type": "string", "enum": [_TOPICS.group]}
        if channel.receives:
            binding = {"kafka": {"groupId": group, **_BINDING}}
            yield (
                f"receive{titled}",
                {"action": "receive", **to, "bindings": binding},
            )
        if channel.sends:
            yield f"send{titled}", {"action": "send", **to}


def _messages() -> Iterator[tuple[str, Schema]]:
    for name, channel in CHANNELS.items():
        kind = MESSAGES[channel.schema or name]
        for form, content_type in (("Protobuf", wire.PROTOBUF), ("Json", wire.JSON)):
            message: Schema = {
                "name": channel.event or kind.full_name,
                "title": f"{kind.name} in {form}",
                "contentType": content_type,
                "headers": _headers(name, channel, content_type),
                "bindings": {"kafka": {"key": _KEY, **_BINDING}},
            }
            if content_type == wire.JSON:
                message["payload"] = {"$ref": f"{channel.schema or name}.schema.json"}
            else:
                message["summary"] = f"The message {kind.full_name}."
            if "transaction-id" in channel.headers:
                place = "$message.header#/transaction-id"
                message["correlationId"] = {"location": place}
            yield f"{_id(name)}{form}", message


def _headers(name: str, channel: _Channel, content_type: str) -> Schema:
    told: Schema = {"content-type": {"type": "string", "const": content_type}}
    if channel.receives:
        told["traceparent"] = _said("traceparent")
    told |= {header: _said(header) for header in channel.headers}
    if not channel.event:
        return {"type": "object", "properties": told}
    told |= _event(name, channel.event)
    # Who else appends to it may leave out what only the service promises.
    own = () if channel.receives else (*_EVENT_SAYS, "content-type")
    return {"type": "object", "properties": told, "required": sorted(own)}


def _said(header: str) -> Schema:
    return {"type": "string", "description": _HEADERS[header]}


def _event(name: str, event: str) -> Schema:
    """The attributes of a CloudEvent, each with what is always the same of it."""
    made = dict(event_headers(event, name, id_="", at_ms=0, subject=""))
    fixed = {"ce_specversion", "ce_type"}
    return {
        header: {"type": "string", "description": _EVENT_SAYS[header]}
        | ({"const": value.decode()} if header in fixed else {})
        | ({"format": "date-time"} if header == "ce_time" else {})
        for header, value in made.items()
    }
