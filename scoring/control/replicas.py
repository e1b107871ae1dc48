"""What each process of the data plane reports to run, and which of them lag."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from scoring.core.release.policy_release import PolicyRelease
from scoring.core.release.replica import ReplicaReport, Trip
from scoring.errors import BadArtifact, CorruptState, LogUnavailable
from scoring.kafka.startup_errors import reader
from scoring.wire.control_json import report_from_json

log = logging.getLogger(__name__)
SILENT_MS = 10_000  # ten reports in a row that did not come
FORGOTTEN_MS = 600_000  # one that was stopped for good alarms nobody any more
_AGAIN_S = 1.0
_POLL_MS = 200


class Standing(StrEnum):
    """How a replica is."""

    CURRENT = "current"
    BEHIND = "behind"  # younger than the limit: on its way
    LAGGING = "lagging"
    REFUSING = "refusing"  # it has refused the newest release
    SILENT = "silent"
    AHEAD = "ahead"  # it runs a release that this database does not know


ALARMING = frozenset(set(Standing) - {Standing.CURRENT, Standing.BEHIND})


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest release and when it was published, wall clock in ms; 0: none yet.

    `unknown` is the topic's, where it is newer than any that this database knows.
    """

    release: int = 0
    published_at_ms: int = 0
    unknown: PolicyRelease | None = None


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """A replica's last report and when it came, how it is, and since when it runs its
    release; times are of the broker or ours, never the replica's own.
    """

    report: ReplicaReport
    heard_at_ms: int
    standing: Standing
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How long something has been so, in ms: that a replica was silent, that it runs
    its release, and that the newest release is published; and when that is too long.
    """

    silence_ms: int = 0
    running_ms: int = 0
    newest_ms: int = 0
    lag_ms: int = 10_000


def standing_of(report: ReplicaReport, newest: Newest, ages: Ages) -> Standing:
    """How a replica is.

    A release above the newest is no fault at once: it was made since we looked.

    >>> report = ReplicaReport(replica="a", door="grpc", process=1, started_at_ms=0,
    ...     at_ms=9_000, policy="p", release=1)
    >>> standing_of(report, Newest(2), Ages(newest_ms=1_000)).value
    'behind'
    >>> standing_of(report, Newest(2), Ages(newest_ms=11_000)).value
    'lagging'
    >>> standing_of(report, Newest(0), Ages(running_ms=11_000)).value
    'ahead'
    """
    if ages.silence_ms > SILENT_MS:
        return Standing.SILENT
    if report.release > newest.release and ages.running_ms > ages.lag_ms:
        return Standing.AHEAD
    if report.refused:
        return Standing.REFUSING
    if report.release >= newest.release:
        return Standing.CURRENT
    return Standing.LAGGING if ages.newest_ms > ages.lag_ms else Standing.BEHIND


# Two workers of one machine may report by one name: the process tells them apart.
Process = tuple[str, int]


def process_of(report: ReplicaReport) -> Process:
    """What a report is of."""
    return report.replica, report.process


@dataclass(slots=True)
class Replicas:
    """The last report of each replica; what changed for the worse is logged once."""

    now_ms: Callable[[], int]
    lag_ms: int = 10_000
    newest: Newest = field(default_factory=Newest)
    _reports: dict[Process, tuple[ReplicaReport, int]] = field(default_factory=dict)
    _since: dict[Process, tuple[int, int]] = field(default_factory=dict)
    _alarmed: dict[Process, Standing] = field(default_factory=dict)

    def heard(self, report: ReplicaReport, at_ms: int) -> None:
        """Take a report, which reached the broker then; they come in order."""
        name = process_of(report)
        if report.ended:
            self._forget(name)
            return
        self._reports[name] = report, at_ms
        release, _ = self._since.get(name, (-1, 0))
        if release != report.release:
            self._since[name] = (report.release, at_ms)

    def states(self) -> list[ReplicaState]:
        """Every replica heard of lately, by its name."""
        now_ms = self.now_ms()
        for name, (_, heard_at_ms) in list(self._reports.items()):
            if now_ms - heard_at_ms > FORGOTTEN_MS:
                self._forget(name)
        return [
            self._state(name, report, heard_at_ms, now_ms)
            for name, (report, heard_at_ms) in sorted(self._reports.items())
        ]

    def _forget(self, name: Process) -> None:
        for known in (self._reports, self._since, self._alarmed):
            known.pop(name, None)

    def _state(
        self, name: Process, report: ReplicaReport, heard_at_ms: int, now_ms: int
    ) -> ReplicaState:
        _, since_ms = self._since[name]
        ages = Ages(
            silence_ms=now_ms - heard_at_ms,
            running_ms=now_ms - since_ms,
            newest_ms=now_ms - self.newest.published_at_ms,
            lag_ms=self.lag_ms,
        )
        standing = standing_of(report, self.newest, ages)
        return ReplicaState(report, heard_at_ms, standing, since_ms)

    @property
    def trips(self) -> set[Trip]:
        """What the breaker holds back, by the last report of each replica."""
        return {trip for report, _ in self._reports.values() for trip in report.tripped}

    def counted(self) -> Mapping[Standing, int]:
        """How many there are of each standing."""
        standings = [state.standing for state in self.states()]
        return {each: standings.count(each) for each in Standing}

    def watch(self) -> None:
        """Log each replica that begins to lag, refuse or be silent, and its end."""
        for state in self.states():
            key, name = process_of(state.report), state.report.replica
            standing, before = state.standing, self._alarmed.get(key)
            if standing in ALARMING and standing is not before:
                self._alarmed[key] = standing
                log.warning("replica %s is %s: %s", name, standing, self._why(state))
            elif standing is Standing.CURRENT and before is not None:
                del self._alarmed[key]
                log.warning("replica %s runs release %d", name, state.report.release)

    def _why(self, state: ReplicaState) -> str:
        report = state.report
        if state.standing is Standing.REFUSING:
            return report.refused
        if state.standing is Standing.SILENT:
            return "it reports no longer; did it end, or does it not reach the broker?"
        if state.standing is Standing.AHEAD:
            return (
                f"it runs release {report.release} (policy {report.policy}), this "
                f"database knows none after {self.newest.release}: was it restored "
                "from a backup? See docs/control-plane.md"
            )
        return f"it runs release {report.release}, and {self.newest.release} is newest"


@dataclass(frozen=True, slots=True)
class ReplicaReports:
    """The topic `control.replicas`, read from a little before now on."""

    bootstrap: str
    options: Mapping[str, Any]
    topic: str
    fetch_wait_ms: int
    now_ms: Callable[[], int]

    async def follow(self, heard: Callable[[ReplicaReport, int], None]) -> None:
        """Hand each report on, for ever; an unavailable broker is asked again."""
        while True:
            try:
                await self._read(heard)
            except (LogUnavailable, BadArtifact, KafkaError, OSError) as error:
                log.debug("%s: %s", self.topic, error)
            await asyncio.sleep(_AGAIN_S)

    async def _read(self, heard: Callable[[ReplicaReport, int], None]) -> None:
        opened = reader(
            self.bootstrap,
            self.options,
            auto_offset_reset="latest",
            fetch_max_wait_ms=self.fetch_wait_ms,
        )
        async with opened as consumer:
            await self._begin(consumer)
            while True:
                polled = await consumer.getmany(timeout_ms=_POLL_MS)
                for record in (each for batch in polled.values() for each in batch):
                    _hand_on(record, heard)

    async def _begin(self, consumer: AIOKafkaConsumer) -> None:
        """Begin where the last reports of those that still report are."""
        place = TopicPartition(self.topic, 0)
        consumer.assign([place])
        at_ms = self.now_ms() - 2 * SILENT_MS
        found = await consumer.offsets_for_times({place: at_ms})
        if (at := found.get(place)) is not None:
            consumer.seek(place, at.offset)
        else:
            await consumer.seek_to_end(place)


def _hand_on(record: Any, heard: Callable[[ReplicaReport, int], None]) -> None:
    try:
        report = report_from_json(record.value or b"")
    except CorruptState as error:
        log.debug("a report is passed over: %s", error)
    else:
        heard(report, record.timestamp)
