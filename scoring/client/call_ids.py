"""What a caller finds its own call by, in its logs, its traces and the service's."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

REQUEST_ID_KEY, TRACE_KEY = "x-request-id", "traceparent"


@dataclass(slots=True)
class CallIds:
    """The names of one call: sent with it, and then as the service returned them.

    `request_id` is any text of at most 128 visible ASCII characters, `traceparent` a
    W3C trace context (kept in the decision's trace). What the service does not take
    for one is not returned: it is empty after the call. Where none is given, the
    current span of the program counts, if it uses OpenTelemetry.

    >>> ids = CallIds("gw-17")
    >>> ids.metadata()
    (('x-request-id', 'gw-17'),)
    >>> ids.returned([("x-request-id", "gw-17"), ("other", "1")]); ids.request_id
    'gw-17'
    """

    request_id: str = ""
    traceparent: str = ""

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What is sent."""
        traceparent = self.traceparent or _current_traceparent()
        named = ((REQUEST_ID_KEY, self.request_id), (TRACE_KEY, traceparent))
        return tuple((key, value) for key, value in named if value)

    def returned(self, trailing: Iterable[tuple[str, str | bytes]] | None) -> None:
        """Take what the service said."""
        said = {key: value for key, value in trailing or () if isinstance(value, str)}
        self.request_id = said.get(REQUEST_ID_KEY, "")
        self.traceparent = said.get(TRACE_KEY, "")


def _current_traceparent() -> str:
    """Of the span that the program has open; empty where it has none.

    The API is not imported: where nobody has, there is no span.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return ""
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    flags = context.trace_flags & 1
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"
