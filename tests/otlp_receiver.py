"""A collector of OpenTelemetry's spans, as its protocol has it, in this process."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from opentelemetry.proto.collector.trace.v1 import (
    trace_service_pb2,
    trace_service_pb2_grpc,
)


@dataclass
class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it receives; `refuses` answers all of it with a status."""

    address: str = ""
    requests: list = field(default_factory=list)
    refuses: grpc.StatusCode | None = None

    def Export(self, request, context):  # noqa: N802 - the protocol's name
        if self.refuses is not None:
            context.abort(self.refuses, "not now")
        self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    @property
    def resources(self):
        return [
            {a.key: a.value.string_value for a in each.resource.attributes}
            for request in list(self.requests)
            for each in request.resource_spans
        ]

    @property
    def spans(self):
        return [
            span
            for request in list(self.requests)
            for each in request.resource_spans
            for scoped in each.scope_spans
            for span in scoped.spans
        ]

    def of(self, trace_id):
        """The spans of one trace, by name; of two of one name, the last."""
        wanted = trace_id.to_bytes(16, "big")
        return {s.name: s for s in self.spans if s.trace_id == wanted}

    def until(self, known, within_s=30.0):
        ends = time.monotonic() + within_s
        while not (found := known()):
            assert time.monotonic() < ends, sorted(s.name for s in self.spans)
            time.sleep(0.1)
        return found


def attributes(span):
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


@contextmanager
def receiving():
    """A receiver on a free port."""
    server = grpc.server(ThreadPoolExecutor(2))
    receiver = Receiver()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
    receiver.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None)
