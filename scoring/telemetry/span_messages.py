"""Spans as OTLP's messages, with the attributes of OpenTelemetry's conventions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from scoring.core.decision.decision import Door
from scoring.ports.spans import (
    BatchSpan,
    CallSpan,
    PublishSpan,
    SpanContext,
    new_span_id,
)

_NS_PER_US = 1_000
_SAMPLED = 1
# Stages that are an exchange with the store.
_ASKS_STORE = frozenset({"observe", "record"})
# The server's faults: the others are the callers', and no error of a server's span.
_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE"}
    | {"DATA_LOSS", "500", "501", "503", "504"}
)
_SERVER, _CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT
_PRODUCER, _CONSUMER = Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER
_INTERNAL = Span.SPAN_KIND_INTERNAL
_STORE = {"db.system.name": "redis"}
Attribute = str | int
# Made once: most of a span is the same every time.
_made: dict[tuple[str, Attribute], KeyValue] = {}
_MADE_MAX = 4_096


def spans_of(kept: CallSpan | PublishSpan, destination: str) -> Iterator[Span]:
    """Its spans; a micro-batch comes with the first of its calls.

    `destination` is the topic of decisions.
    """
    if isinstance(kept, PublishSpan):
        yield _publish_span(kept, destination)
        return
    links = []
    for batch in kept.batches:
        if batch.told_in:
            links.append(SpanContext(batch.told_in, batch.span_id, sampled=True))
        else:
            batch.told_in = kept.context.trace_id
            yield from _batch_spans(batch, kept)
    yield _call_span(kept, links)
    for publish in kept.published:
        yield _publish_span(publish, destination)


def _call_span(call: CallSpan, links: Iterable[SpanContext]) -> Span:
    kafka = call.door is Door.KAFKA
    status = Status()
    if call.status in _FAULTS:
        status.code = Status.STATUS_CODE_ERROR
    return Span(
        trace_id=call.context.trace_id.to_bytes(16),
        span_id=call.context.span_id.to_bytes(8),
        parent_span_id=call.parent_id.to_bytes(8) if call.parent_id else b"",
        flags=_SAMPLED,
        name=call.name,
        kind=_CONSUMER if kafka else _SERVER,
        start_time_unix_nano=call.began_ns,
        end_time_unix_nano=call.ended_ns,
        attributes=_listed({**_of_door(call), **_of_decision(call)}),
        links=_links(links),
        status=status,
    )


def _of_door(call: CallSpan) -> Mapping[str, Attribute]:
    told: dict[str, Attribute] = {}
    if call.problem:
        told["error.type"] = call.problem
    match call.door:
        case Door.GRPC:
            told |= {
                "rpc.system.name": "grpc",
                "rpc.method": call.name,
                "rpc.response.status_code": call.status,
            }
        case Door.HTTP:
            verb, _, route = call.name.partition(" ")
            told |= {
                "http.request.method": verb,
                "http.route": route,
                "http.response.status_code": int(call.status),
            }
        case _:
            topic, _, rest = call.place.rpartition("/")
            partition, _, offset = rest.partition("@")
            told |= {
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": partition,
                "messaging.kafka.offset": int(offset or 0),
            }
    return told


def _of_decision(call: CallSpan) -> Mapping[str, Attribute]:
    core = call.core
    if core is None:
        return {}
    told: dict[str, Attribute] = {
        "fraud.rung": core.rung.name.lower(),
        "fraud.policy.version": core.versions.policy,
        "fraud.model.version": core.versions.model,
        "fraud.definitions.version": core.versions.features,
    }
    if call.missing:
        told["fraud.degradations"] = ",".join(sorted(call.missing))
    if call.decided_count == 1:
        told["fraud.outcome"] = core.outcome.name.lower()
    else:
        told["fraud.decisions.count"] = call.decided_count
    return told


def _batch_spans(batch: BatchSpan, call: CallSpan) -> Iterator[Span]:
    """The micro-batch under a call, and its stages one after the other."""
    trace_id = call.context.trace_id.to_bytes(16)
    batch_id = batch.span_id.to_bytes(8)
    at_ns = batch.ended_ns - sum(batch.stages_us.values()) * _NS_PER_US
    yield Span(
        trace_id=trace_id,
        span_id=batch_id,
        parent_span_id=call.context.span_id.to_bytes(8),
        flags=_SAMPLED,
        name="micro-batch",
        kind=_INTERNAL,
        start_time_unix_nano=at_ns,
        end_time_unix_nano=batch.ended_ns,
        attributes=_listed({"fraud.batch.size": batch.size}),
        links=_links(each for each in batch.links if each != call.context),
    )
    for stage, duration_us in batch.stages_us.items():
        ends_ns = at_ns + duration_us * _NS_PER_US
        asks = stage in _ASKS_STORE
        yield Span(
            trace_id=trace_id,
            span_id=new_span_id().to_bytes(8),
            parent_span_id=batch_id,
            flags=_SAMPLED,
            name=stage,
            kind=_CLIENT if asks else _INTERNAL,
            start_time_unix_nano=at_ns,
            end_time_unix_nano=ends_ns,
            attributes=_listed(_STORE) if asks else (),
        )
        at_ns = ends_ns


def _publish_span(publish: PublishSpan, destination: str) -> Span:
    context = publish.call.context
    told: dict[str, Attribute] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.destination.name": destination,
    }
    status = Status()
    if publish.problem:
        told["error.type"] = publish.problem
        status.code = Status.STATUS_CODE_ERROR
    return Span(
        trace_id=context.trace_id.to_bytes(16),
        span_id=publish.span_id.to_bytes(8),
        parent_span_id=context.span_id.to_bytes(8),
        flags=_SAMPLED,
        name=f"send {destination}",
        kind=_PRODUCER,
        start_time_unix_nano=publish.began_ns,
        end_time_unix_nano=publish.ended_ns,
        attributes=_listed(told),
        status=status,
    )


def _links(contexts: Iterable[SpanContext]) -> list[Span.Link]:
    return [
        Span.Link(trace_id=each.trace_id.to_bytes(16), span_id=each.span_id.to_bytes(8))
        for each in contexts
    ]


def _listed(attributes: Mapping[str, Attribute]) -> list[KeyValue]:
    return [key_value(name, value) for name, value in attributes.items()]


def key_value(name: str, value: Attribute) -> KeyValue:
    """An attribute, kept where it will be the same again."""
    known = _made.get((name, value))
    if known is None:
        if isinstance(value, int):
            told = AnyValue(int_value=value)
        else:
            told = AnyValue(string_value=value)
        known = KeyValue(key=name, value=told)
        if isinstance(value, str) and len(_made) < _MADE_MAX:  # not an offset
            _made[name, value] = known
    return known
