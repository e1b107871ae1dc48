"""Watches the stream from beside: what waits, what is held back, what is missing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from scoring.doors.stream.poll_consumer import PartitionLag
from scoring.doors.stream.stall_detector import Progress

log = logging.getLogger(__name__)
_SAY_S = 60.0
# A topic that is made again is there within seconds; nobody is alarmed meanwhile.
_MISSING_S = 5.0
_ASK_S = 2.0
# A producer's transaction lasts milliseconds to seconds; its default limit is 60 s.
_OPEN_S = 30.0


class Consumer(Protocol):
    """What is watched."""

    def lags(self) -> Sequence[PartitionLag]:
        """How far each of our partitions is judged, and how far it can be."""
        ...

    def partitions(self, topic: str) -> tuple[int, int | None]:
        """How many of a topic's partitions are ours, and how many it has."""
        ...

    def missing(self, topics: Sequence[str]) -> Sequence[str]:
        """Which of these topics the brokers do not have."""
        ...

    def unavailable(self) -> bool:
        """Whether no broker answers."""
        ...

    def ask_again(self) -> None:
        """Ask the brokers for their topics now."""
        ...


@dataclass(slots=True)
class Watch:
    """Says a cause once a minute.

    A topic that is missing is no reason to end: the others are read on. Once it is
    there again, the door ends the process where its broker tells topics apart.
    `prefix` begins the topics' names, and is no part of a metric's.
    """

    progress: Progress
    topics: Sequence[str]
    prefix: str = ""
    monotonic: Callable[[], float] = time.monotonic
    _said_at: dict[str, float] = field(default_factory=dict)
    _since: dict[Any, float] = field(default_factory=dict)
    _asked_at: float = 0.0

    def look(self, consumer: Consumer) -> bool:
        """Look once, several times a second; whether the stream stalls."""
        lags = consumer.lags()
        self._look_for_topics(consumer)
        self._look_for_transactions(lags)
        for topic in self.topics:
            source = topic.removeprefix(self.prefix)
            self.progress.partitions(source, *consumer.partitions(topic))
        self.progress.held_back(sum(place.held_back for place in lags))
        is_unavailable = consumer.unavailable()
        if is_unavailable:
            self.progress.forward()  # a restart would not bring the broker back
        is_stalled = self.progress.stalled(sum(place.lag for place in lags))
        if is_unavailable:
            self.progress.unknown()
        return is_stalled

    def _look_for_topics(self, consumer: Consumer) -> None:
        gone = consumer.missing(self.topics)
        lasting = [topic for topic in gone if self._lasts(topic, _MISSING_S)]
        self._forget(set(self.topics) - set(gone))
        self.progress.missing = tuple(lasting)
        if gone and self.monotonic() - self._asked_at > _ASK_S:
            self._asked_at = self.monotonic()
            consumer.ask_again()
        for topic in lasting:
            self._say(
                topic,
                "%s is not among the brokers' topics: nothing of it is read; `scoring "
                "topics create` makes it, and it is read from its start then",
                topic,
            )

    def _look_for_transactions(self, lags: Sequence[PartitionLag]) -> None:
        """Say which partition is behind a transaction that does not end."""
        for place in lags:
            tp, opened_at = place.tp, place.ends.readable
            if not place.held_back:
                self._forget({key for key in self._since if key[:2] == tuple(tp)})
            elif self._lasts((*tp, opened_at), _OPEN_S):
                self._say(
                    f"{tp.topic}/{tp.partition}",
                    "%s/%d: %d records wait behind a transaction of their producer's "
                    "that was opened at offset %d and is not over; the broker ends it "
                    "after its transaction.timeout.ms, `kafka-transactions.sh "
                    "find-hanging` and `abort` end one that stays",
                    *(tp.topic, tp.partition, place.held_back, opened_at),
                )

    def _lasts(self, what: Any, bound_s: float) -> bool:
        now = self.monotonic()
        return now - self._since.setdefault(what, now) >= bound_s

    def _forget(self, known: set[Any]) -> None:
        for what in known:
            self._since.pop(what, None)

    def _say(self, cause: str, text: str, *told: Any) -> None:
        now = self.monotonic()
        if now - self._said_at.get(cause, -_SAY_S) >= _SAY_S:
            self._said_at[cause] = now
            log.error(text, *told)
