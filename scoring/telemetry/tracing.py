"""Which calls are traced: by their head, and by how they ended."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scoring.core.decision.decision import DecisionCore, Door
from scoring.pipeline.answer import Decided
from scoring.ports.check import Check
from scoring.ports.spans import (
    BatchSpan,
    CallSpan,
    PublishSpan,
    SpanContext,
    context_of,
    new_span_id,
)

_NS_PER_S = 1_000_000_000
# What OTLP's receivers commonly take of one span.
_LINKS_MAX = 128
# Of calls that nobody sampled and that went badly. In an outage all of them do: traces
# of each would cost the most when there is least to spare.
BAD_PER_S_MAX = 20
_NOT_RECORDED = "not_recorded"


@dataclass(slots=True)
class Tracing:
    """`ports.spans.Traces`: keeps a call's spans until it ends, then hands them on.

    The parent's decision counts; a call without a parent is sampled with the
    probability `share`, 0 to 1. What was degraded, refused, or slower than `slow_s`
    where a caller waits (0: none is slow) is kept as well, BAD_PER_S_MAX of them a
    second. `take` gets what is kept; it never blocks.
    """

    share: float
    slow_s: float
    take: Callable[[CallSpan | PublishSpan], None]
    monotonic: Callable[[], float] = time.monotonic
    _second: int = 0
    _bad_count: int = 0
    _random: random.Random = field(default_factory=random.Random)

    def began(self, door: Door, name: str, traceparent: str) -> CallSpan:
        """A call arrived."""
        parent = context_of(traceparent)
        if parent is None:
            trace_id = self._random.getrandbits(128) or 1
            sampled, parent_id = self._random.random() < self.share, 0
        else:
            trace_id, parent_id, sampled = parent
        context = SpanContext(trace_id, new_span_id(), sampled)
        return CallSpan(name, door, context, parent_id, self._ended)

    def answered(
        self,
        checks: Sequence[Check],
        durations_us: Mapping[str, int],
    ) -> None:
        """A micro-batch is decided; its calls may not be over yet."""
        calls = dict.fromkeys(c.span for c in checks if c.span is not None)
        if not calls:
            return
        sampled = [call.context for call in calls if call and call.context.sampled]
        links = tuple(sampled[:_LINKS_MAX])
        batch = BatchSpan(time.time_ns(), durations_us, len(checks), links)
        for call in calls:
            if call is not None:
                call.batches += (batch,)

    def decided(
        self,
        checks: Sequence[Check],
        cores: Sequence[DecisionCore],
        answers: Sequence[object],
    ) -> None:
        """Its decisions, one a check: what made them, and what was missing."""
        for check, core, answer in zip(checks, cores, answers, strict=True):
            span = check.span
            if span is None:
                continue
            span.core = core
            span.decided_count += 1
            if core.degradations:
                span.missing |= {d.code.name.lower() for d in core.degradations}
            if isinstance(answer, Decided) and answer.provisional:
                span.missing |= {_NOT_RECORDED}

    def _ended(self, ended: CallSpan | PublishSpan) -> None:
        if isinstance(ended, CallSpan):
            ended.kept = ended.context.sampled or (self._bad(ended) and self._room())
            if not ended.kept:
                ended.let_go()
                return
        self.take(ended)

    def _bad(self, call: CallSpan) -> bool:
        if call.problem or call.missing:
            return True
        took_s = (call.ended_ns - call.began_ns) / _NS_PER_S
        return 0 < self.slow_s < took_s and call.door is not Door.KAFKA

    def _room(self) -> bool:
        second = int(self.monotonic())
        if second != self._second:
            self._second, self._bad_count = second, 0
        self._bad_count += 1
        return self._bad_count <= BAD_PER_S_MAX
