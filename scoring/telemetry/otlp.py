"""Sends kept spans to a collector by OTLP over gRPC, from a thread of its own.

Of OpenTelemetry only its messages are used: what its SDK does for each span costs more
than deciding a payment, and what it drops it does not count.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from scoring.ports.spans import CallSpan, PublishSpan
from scoring.telemetry.span_messages import key_value, spans_of

_log = logging.getLogger(__name__)
_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# What a collector that is restarted keeps us from sending, at 200 kept calls a second.
COUNT_MAX = 4_096
_AT_ONCE_COUNT = 256
_EVERY_S = 1.0
_TIMEOUT_S = 10.0
_WAITS_S = (0.5, 1.0, 2.0)
_CLOSE_S = 3.0
_LOOKS_S = 0.005
# OTLP's list of what may be sent again.
_AGAIN = frozenset(
    {
        grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED, grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS,
    }
)  # fmt: skip
Kept = CallSpan | PublishSpan


@dataclass(slots=True)
class SpanSender:
    """Queues what is kept, at most COUNT_MAX, and sends it about once a second.

    `fates` counts what became of it: sent; full: dropped, too much waited; failed:
    dropped, the collector did not take it; rejected: by the collector.
    """

    channel: grpc.Channel
    resource: Resource
    destination: str  # the topic of decisions
    version: str
    headers: tuple[tuple[str, str], ...] = ()
    count_max: int = COUNT_MAX
    fates: Counter[str] = field(default_factory=Counter)
    _waiting: deque[Kept] = field(default_factory=deque)
    _more: threading.Event = field(default_factory=threading.Event)
    _sending: bool = False
    _closed: bool = False
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def take(self, kept: Kept) -> None:
        """Queue it, or drop it and count; never blocks."""
        if len(self._waiting) >= self.count_max:
            self.fates["full"] += 1
            return
        self._waiting.append(kept)
        if len(self._waiting) == _AT_ONCE_COUNT:
            self._more.set()

    def flush(self, within_s: float = _CLOSE_S) -> None:
        """Send what waits now, for at most so long. Blocks."""
        ends = time.monotonic() + within_s
        self._more.set()
        while (self._waiting or self._sending) and time.monotonic() < ends:
            time.sleep(_LOOKS_S)

    def close(self, within_s: float = _CLOSE_S) -> None:
        """Send what waits, for at most so long. Blocks."""
        self._closed = True
        self._more.set()
        self._thread.join(within_s)
        self.channel.close()

    def _run(self) -> None:
        closing = False
        while not closing:
            self._more.wait(_EVERY_S)
            self._more.clear()
            closing = self._closed  # before the last look at what waits
            while self._waiting:
                count = min(len(self._waiting), _AT_ONCE_COUNT)
                self._sending = True
                taken = [self._waiting.popleft() for _ in range(count)]
                try:
                    self._send(taken)
                except Exception:  # noqa: BLE001 - what one of them holds must not end the others
                    self.fates["failed"] += count
                    _log.exception("spans were dropped")
                self._sending = False

    def _send(self, taken: list[Kept]) -> None:
        spans = [span for kept in taken for span in spans_of(kept, self.destination)]
        for kept in taken:
            if isinstance(kept, CallSpan):
                kept.let_go()
        scope = InstrumentationScope(name="scoring", version=self.version)
        scoped = ScopeSpans(scope=scope, spans=spans)
        told = ResourceSpans(resource=self.resource, scope_spans=[scoped])
        fate, rejected = self._export(
            ExportTraceServiceRequest(resource_spans=[told]).SerializeToString()
        )
        self.fates["rejected"] += rejected
        self.fates[fate] += len(taken)

    def _export(self, request: bytes) -> tuple[str, int]:
        """What became of it, and how many spans the collector rejected."""
        export: Callable[..., Any] = self.channel.unary_unary(
            _METHOD, None, ExportTraceServiceResponse.FromString
        )
        for wait_s in (*_WAITS_S, None):
            try:
                reply = export(request, timeout=_TIMEOUT_S, metadata=self.headers)
            except grpc.RpcError as error:
                code = error.code()
                if code not in _AGAIN or wait_s is None or self._closed:
                    self._say(code.name)
                    return "failed", 0
                time.sleep(wait_s)
            else:
                return "sent", reply.partial_success.rejected_spans
        raise AssertionError("the last try returns")

    def _say(self, code: str) -> None:
        _log.warning(
            "spans are dropped: the collector does not take them: %s",
            code,
            extra={"cause": "traces-refused", "repeats": code},
        )


def sender_to(
    endpoint: str, service: str, version: str, destination: str
) -> SpanSender:
    """Sends to a collector: `host:port`, or https:// before it for TLS.

    OpenTelemetry's own variables add headers (OTEL_EXPORTER_OTLP_HEADERS), a root
    certificate (OTEL_EXPORTER_OTLP_CERTIFICATE) and attributes of the resource
    (OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME). Raises `OSError`.
    """
    scheme, _, address = endpoint.rpartition("://")
    if scheme == "https":
        root = os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE")
        roots = Path(root).read_bytes() if root else None
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(roots))
    else:
        channel = grpc.insecure_channel(address)
    headers = _pairs(os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
    told = tuple((name.lower(), value) for name, value in headers.items())
    resource = resource_of(service, version)
    return SpanSender(channel, resource, destination, version, told)


def resource_of(service: str, version: str) -> Resource:
    """Who says all this: one process."""
    attributes: dict[str, str | int] = {
        "service.name": service,
        "service.version": version,
        "service.instance.id": str(uuid4()),
        "process.pid": os.getpid(),
        **_pairs(os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")),
    }
    if name := os.environ.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = name
    return Resource(attributes=[key_value(n, v) for n, v in attributes.items()])


def _pairs(listed: str) -> Mapping[str, str]:
    """What OpenTelemetry's variables list.

    >>> _pairs("a=1, b = 2%2C3,nonsense")
    {'a': '1', 'b': '2,3'}
    """
    from urllib.parse import unquote

    said: Iterable[tuple[str, str, str]]
    said = (each.partition("=") for each in listed.split(","))
    return {name.strip(): unquote(value.strip()) for name, sep, value in said if sep}
