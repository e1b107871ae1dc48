"""CloudEvents 1.0 on what we write: Kafka's binary mode, in headers alone.

An id is a function of what the record says, never of when or by whom it was appended: a
record that is appended twice has the same id, and consumers need not look further.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from scoring.wire.messages import TIMESTAMP_MS_MAX

Headers = tuple[tuple[str, bytes], ...]
# Types are the names of the messages; a challenger's is its own, so that nobody takes
# what it would have decided for a decision.
DECISION = "scoring.v1.Decision"
CHALLENGE = "scoring.v1.Decision.challenger"
LABEL = "scoring.v1.Label"
EVENT = "scoring.v1.LifecycleEvent"
DEAD_LETTER = "scoring.v1.DeadLetter"
_SOURCE = "/fraud-scoring/"
_TIMES_MAX = 1_024  # of a batch it is one


def event_headers(
    type_: str, topic: str, *, id_: str, at_ms: int, subject: str
) -> Headers:
    """The attributes of an event: `id_` is unique within its topic, `at_ms` its time.

    >>> for name, value in event_headers(
    ...     DECISION, "decisions", id_="default:t1", at_ms=1_500, subject="t1"
    ... ):
    ...     print(name, value.decode())
    ce_specversion 1.0
    ce_type scoring.v1.Decision
    ce_source /fraud-scoring/decisions
    ce_id default:t1
    ce_time 1970-01-01T00:00:01.500Z
    ce_subject t1
    """
    return (
        *_shared(type_, topic),
        ("ce_id", id_.encode()),
        ("ce_time", _time(at_ms)),
        ("ce_subject", subject.encode()),
    )


def refused_headers(refused: Headers, topic: str) -> Headers:
    """The attributes of the letter of an event of ours that the log refused."""
    told = dict(refused)
    return (
        *_shared(DEAD_LETTER, topic),
        ("ce_id", b"refused:" + told["ce_id"]),
        ("ce_time", told["ce_time"]),
        ("ce_subject", told["ce_subject"]),
    )


def source_of(topic: str) -> str:
    """What an event of this topic names as its source.

    A topic's name needs no escapes in a URI.
    """
    return _SOURCE + topic


@lru_cache
def _shared(type_: str, topic: str) -> Headers:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", type_.encode()),
        ("ce_source", source_of(topic).encode()),
    )


@lru_cache(maxsize=_TIMES_MAX)
def _time(at_ms: int) -> bytes:
    """RFC 3339; a time that no calendar has becomes the nearest that one has."""
    seconds, ms = divmod(min(max(at_ms, 0), TIMESTAMP_MS_MAX), 1_000)
    at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=ms * 1_000)
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z".encode()
