"""What the demo's screen shows, gathered from the records of the topics."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

OUTCOMES = ("APPROVE", "CHALLENGE", "REVIEW", "DECLINE")
_STOPPED = frozenset(OUTCOMES[1:])  # a fraud is caught where it is not let through
_SAMPLES_MAX = 4_000  # latencies on the screen are of the last few seconds
_DECLINES_MAX = 12
_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Decline:
    """One refusal, for the list on the screen."""

    transaction_id: str
    occurred_at: str
    amount: str
    score: float | None
    reasons: tuple[str, ...]
    fraud: bool


@dataclass(slots=True)
class Tally:
    """Running figures. `truth` holds the ids of the frauds that were sent."""

    truth: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    caught: int = 0
    missed: int = 0
    false_alarms: int = 0
    labels_sent: int = 0
    repeats_sent: int = 0
    declines: deque[Decline] = field(
        default_factory=lambda: deque(maxlen=_DECLINES_MAX)
    )
    stages_us: dict[str, deque[int]] = field(default_factory=dict)
    stream_ms: list[float] = field(default_factory=list)
    grpc_ms: list[float] = field(default_factory=list)
    per_second: deque[tuple[int, int]] = field(
        default_factory=lambda: deque(maxlen=_SECONDS_MAX)
    )

    def decided(self, decision: dict[str, Any], *, at_ms: int, second: int) -> None:
        """Take in one decision (canonical JSON), logged at `at_ms`.

        `second` is the second of the demo in which it was seen.
        """
        core, trace = decision["core"], decision.get("trace", {})
        outcome = core["outcome"].removeprefix("OUTCOME_")
        fraud = core["transactionId"] in self.truth
        self.outcomes[outcome] += 1
        self._judge(fraud=fraud, stopped=outcome in _STOPPED)
        if outcome == "DECLINE":
            self.declines.append(decline_of(decision, fraud=fraud))
        for stage in trace.get("stages", ()):
            samples = self.stages_us.setdefault(
                stage["stage"], deque(maxlen=_SAMPLES_MAX)
            )
            samples.append(stage.get("durationUs", 0))
        if trace.get("door") == "DOOR_KAFKA" and "receivedAt" in decision:
            self.stream_ms.append(max(0.0, at_ms - ms_of(decision["receivedAt"])))
        self._tick(second)

    def _judge(self, *, fraud: bool, stopped: bool) -> None:
        if fraud and stopped:
            self.caught += 1
        elif fraud:
            self.missed += 1
        elif stopped:
            self.false_alarms += 1

    def _tick(self, second: int) -> None:
        count = 1
        if self.per_second and self.per_second[-1][0] == second:
            count += self.per_second.pop()[1]
        self.per_second.append((second, count))

    @property
    def rate(self) -> int:
        """Decisions in the last full second."""
        return self.per_second[-2][1] if len(self.per_second) > 1 else 0


def decline_of(decision: dict[str, Any], *, fraud: bool) -> Decline:
    """The line on the screen for a decline."""
    core, transaction = decision["core"], decision.get("transaction", {})
    minor = int(transaction.get("amountMinor", 0))
    return Decline(
        transaction_id=core["transactionId"],
        occurred_at=transaction.get("occurredAt", "")[:16].replace("T", " "),
        amount=f"{minor / 100:,.2f} {transaction.get('currency', '')}",
        score=core.get("score"),
        reasons=tuple(reason_text(reason) for reason in core.get("reasons", ())),
        fraud=fraud,
    )


def reason_text(reason: dict[str, Any]) -> str:
    """A reason as a person reads it, with the limit it ran into.

    >>> reason_text({"wording": "Many payments.", "velocity":
    ...     {"observed": 9, "limit": 5}})
    'Many payments (9 of 5)'
    """
    text = str(reason.get("wording") or reason.get("code", "")).rstrip(".")
    velocity = reason.get("velocity")
    if velocity:
        text += f" ({velocity.get('observed', 0):g} of {velocity.get('limit', 0):g})"
    return text


def ms_of(timestamp: str) -> float:
    """Milliseconds since 1970 of an RFC 3339 time as protobuf's JSON writes it.

    >>> ms_of("1970-01-01T00:00:01.500Z")
    1500.0
    """
    return datetime.fromisoformat(timestamp).astimezone(UTC).timestamp() * 1000


def percentile(values: list[float] | deque[int], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank); 0 for none.

    >>> percentile([5.0, 1.0, 3.0], 0.5)
    3.0
    """
    if not values:
        return 0.0
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])
