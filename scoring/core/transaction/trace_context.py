"""What a caller finds its own call by: a W3C trace context, and a name of its own."""

from __future__ import annotations

import re
from collections.abc import Callable

# The headers by which tracing systems hand ids on; many are long decimal numbers. They
# are no text of a person, and no card number is looked for in them.
TRACE_HEADERS = frozenset(
    {"traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid"}
    | {"x-b3-parentspanid", "x-datadog-trace-id", "x-datadog-parent-id"}
    | {"x-datadog-tags", "uber-trace-id", "x-amzn-trace-id", "x-cloud-trace-context"}
    | {"dd-pathway-ctx", "dd-pathway-ctx-base64", "x-ot-span-context"}
)
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def accepted_traceparent(value: str) -> str:
    """A trace context as sent, or empty: it is stored, so it is not free text.

    >>> accepted_traceparent("00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")[:8]
    '00-ababa'
    >>> accepted_traceparent("card 4111111111111111")
    ''
    """
    return value if _TRACEPARENT.fullmatch(value) else ""


def accepted_request_id(value: str) -> str:
    """A caller's own name for a call, or empty: returned as sent, and kept nowhere.

    >>> accepted_request_id("gw-17"), accepted_request_id("two words")
    ('gw-17', '')
    """
    return value if _REQUEST_ID.fullmatch(value) else ""


# What names a call is returned as it was sent, where it is accepted.
RETURNED: dict[str, Callable[[str], str]] = {
    "x-request-id": accepted_request_id,
    "traceparent": accepted_traceparent,
}
