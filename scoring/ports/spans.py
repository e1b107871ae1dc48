"""Spans: what a call, its micro-batches and its publishing write down for a trace.

While a call runs its spans are plain values in memory; whether anybody sees them is
decided when it ends. Without traces there are none: a call's span is None.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from scoring.core.decision.decision import DecisionCore, Door

_UNSAMPLED, _SAMPLED = "00", "01"
_NO_VERSION = "ff"  # W3C forbids it


class SpanContext(NamedTuple):
    """Which span of which trace, and whether its head was sampled."""

    trace_id: int
    span_id: int
    sampled: bool

    @property
    def traceparent(self) -> str:
        """The W3C header of what is called from there.

        >>> SpanContext(10, 11, sampled=True).traceparent[-22:]
        '0a-000000000000000b-01'
        """
        flags = _SAMPLED if self.sampled else _UNSAMPLED
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{flags}"


def context_of(traceparent: str) -> SpanContext | None:
    """The context that an accepted header names; None where it names none.

    >>> context_of("00-" + "0" * 31 + "a-" + "0" * 15 + "b-01")
    SpanContext(trace_id=10, span_id=11, sampled=True)
    >>> context_of(""), context_of("00-" + "0" * 32 + "-" + "0" * 16 + "-01")
    (None, None)
    """
    if not traceparent:
        return None
    version, trace, span, flags = traceparent.split("-")
    trace_id, span_id = int(trace, 16), int(span, 16)
    if version == _NO_VERSION or not trace_id or not span_id:
        return None
    return SpanContext(trace_id, span_id, bool(int(flags, 16) & 1))


def new_span_id() -> int:
    """Eight bytes by chance, never 0."""
    return random.getrandbits(64) or 1


@dataclass(slots=True, eq=False)
class BatchSpan:
    """One micro-batch: its stages in order, microseconds, and whom it links to.

    `told_in` is the trace that it was written into, once it was.
    """

    ended_ns: int
    stages_us: Mapping[str, int]
    size: int
    links: tuple[SpanContext, ...]
    span_id: int = field(default_factory=new_span_id)
    told_in: int = 0


@dataclass(slots=True, eq=False)
class CallSpan:
    """One call, or one record of the stream door, from its arrival to its end.

    `core` is the last decision of it, and `missing` what any of its decisions lacked;
    `problem` names why it has none. `publish` is the send of a door that waits for it.
    `ends` decides whether it is kept, and gets publishings that end after it.
    """

    name: str
    door: Door
    context: SpanContext
    parent_id: int
    ends: Callable[[CallSpan | PublishSpan], None]
    began_ns: int = field(default_factory=time.time_ns)
    ended_ns: int = 0
    status: str = ""
    problem: str = ""
    place: str = ""  # of a record: topic/partition@offset
    core: DecisionCore | None = None
    decided_count: int = 0
    missing: frozenset[str] = frozenset()
    batches: tuple[BatchSpan, ...] = ()
    publish: PublishSpan | None = None
    published: tuple[PublishSpan, ...] = ()
    kept: bool = False

    def ended(self, status: str) -> None:
        """It is answered, with a status of its door; "" where that has none."""
        self.ended_ns = max(time.time_ns(), self.began_ns)
        self.status = status
        self.ends(self)

    def publishing(self) -> PublishSpan:
        """A decision of it is on its way to the log."""
        return PublishSpan(self)

    def let_go(self) -> None:
        """Forget its parts, which name it: nobody but the collector would free them."""
        self.publish, self.published = None, ()

    @property
    def kept_trace(self) -> str:
        """The trace in which it can be found; empty where nobody keeps it."""
        return f"{self.context.trace_id:032x}" if self.kept else ""


@dataclass(slots=True, eq=False)
class PublishSpan:
    """One decision on its way to the log."""

    call: CallSpan
    span_id: int = field(default_factory=new_span_id)
    began_ns: int = field(default_factory=time.time_ns)
    ended_ns: int = 0
    problem: str = ""

    @property
    def traceparent(self) -> str:
        """What its record says to those who read it."""
        return self.call.context._replace(span_id=self.span_id).traceparent

    def ended(self, problem: str = "") -> None:
        """The log has it, or never will."""
        self.ended_ns, self.problem = time.time_ns(), problem
        if not self.call.ended_ns:
            self.call.published += (self,)
        elif self.call.kept:
            self.call.ends(self)


class Traces(Protocol):
    """Begins spans."""

    def began(self, door: Door, name: str, traceparent: str) -> CallSpan:
        """A call arrived; `traceparent` is accepted, or empty."""
        ...
