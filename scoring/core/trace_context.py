"""The W3C trace context that a caller sends along."""

from __future__ import annotations

import re

from scoring.core.card_number import holds_card_number

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def accepted_traceparent(value: str) -> str:
    """A trace context as sent, or empty: it is stored, so it is not free text.

    >>> accepted_traceparent("00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")[:8]
    '00-ababa'
    >>> accepted_traceparent("card 4111111111111111")
    ''
    """
    if not _TRACEPARENT.fullmatch(value) or holds_card_number(value):
        return ""
    return value
