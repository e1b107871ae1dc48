"""Counts declines with all other processes, and holds back what is too much."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field

from scoring.core.decision.decision import DecisionCore, Outcome
from scoring.core.policy.breaker import (
    BUCKET_MS,
    HISTORY_DAYS,
    HOUR_MS,
    QUIET_BUCKETS,
    WHOLE,
    WINDOW_BUCKETS,
    Excess,
    Guard,
    declining,
    excess,
)
from scoring.core.policy.in_force import InForce, trip_name
from scoring.core.policy.policy import Policy
from scoring.core.release.replica import Trip
from scoring.errors import StoreUnavailable
from scoring.pipeline.answer import Answer, Decided
from scoring.ports.check import Check
from scoring.ports.events import Event
from scoring.ports.tallies import Counts, Tallied, TallyAsk, TallyStore
from scoring.ports.telemetry import Telemetry

log = logging.getLogger(__name__)
TALLY_S = 1.0  # between two exchanges of counts
_DECLINE = Outcome.DECLINE
_BUCKETS_PER_HOUR = HOUR_MS // BUCKET_MS
_HOURS_PER_DAY = 24


@dataclass(slots=True)
class _Counted:
    """What was decided by one policy in one bucket of event time."""

    policy: Policy
    decisions: int = 0
    declines: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class DeclineBreaker:
    """The breaker of one process: what it counts is added up in the store.

    Counting takes no time from deciding, and is safe to lose: where the store does
    not answer, what was counted is dropped and nothing trips, and what had tripped
    stays so. `in_force` is what decides now; `held` gets the names of all that
    tripped, whenever they change. Nothing is counted before the first exchange.
    """

    tallies: TallyStore
    telemetry: Telemetry
    now_ms: Callable[[], int]
    in_force: Callable[[], InForce]
    held: Callable[[frozenset[str]], None]
    asks: Callable[[], bool] = lambda: True
    trips: Mapping[str, Trip] = field(default_factory=dict)
    _counted: dict[tuple[str, int], _Counted] = field(default_factory=dict)
    _is_counting: bool = False
    _newest: int = 0
    _hour: int = 0
    _is_quiet: bool = True
    _usual: Counts = field(default_factory=dict)

    # On the path of a decision -------------------------------------------------

    def count(
        self,
        policies: Sequence[Policy],
        checks: Sequence[Check],
        cores: Sequence[DecisionCore],
        answers: Sequence[Answer],
    ) -> None:
        """Count the decisions that were made final here, and for the first time."""
        if not self._is_counting:
            return
        counted = self._counted
        for policy, check, core, answer in zip(
            policies, checks, cores, answers, strict=True
        ):
            if not policy.guards or check.dry_run or not _is_final(answer):
                continue
            key = (policy.version, check.transaction.occurred_at_ms // BUCKET_MS)
            own = counted.get(key)
            if own is None:
                own = counted[key] = _Counted(policy)
            own.decisions += 1
            if core.outcome is _DECLINE:
                for rule in declining(core, policy.guards):
                    own.declines[rule] += 1

    # Beside it -----------------------------------------------------------------

    @asynccontextmanager
    async def running(self, *, counts: bool = True) -> AsyncIterator[None]:
        """Exchange counts once a second, until the end of the block.

        What had tripped before is held back from the start, where the store answers.
        """
        if not counts:
            yield
            return
        await self.exchange()
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(TALLY_S)
            await self.exchange()

    async def exchange(self) -> None:
        """Add up what was counted, and hold back what has tripped."""
        counted, self._counted = self._counted, {}
        self._is_counting = True
        if not self.asks():
            return
        in_force = self.in_force()
        own = self._tally(counted, in_force)
        try:
            told = await self.tallies.tally(own)
            if own.history:
                self._hour = own.window[0] // _BUCKETS_PER_HOUR
                self._usual = _sum(told.history)
            self._newest = told.newest
            self._is_quiet = _quiet(told.window[:WINDOW_BUCKETS], in_force)
            # Where another process is ahead, ours are late payments: they do not
            # speak for now.
            is_now = bool(own.window) and told.newest == own.window[0]
            found = self._judged(told, in_force) if is_now else {}
            self._take(await self.tallies.trip(found) if found else told.trips)
        except (StoreUnavailable, ValueError, TypeError) as error:
            log.debug("declines are not counted for the moment: %s", error)

    def _tally(
        self, counted: Mapping[tuple[str, int], _Counted], in_force: InForce
    ) -> TallyAsk:
        """What was counted, by name, and what is to be read."""
        held, armed = in_force.held, in_force.rearmed
        buckets: dict[int, Counter[str]] = {}
        hours: dict[int, Counter[str]] = {}
        for (version, bucket), own in counted.items():
            counts = buckets.setdefault(bucket, Counter())
            counts[f"n/{version}"] += own.decisions
            for rule, declines in own.declines.items():
                counts[f"d/{trip_name(version, rule, armed)}"] += declines
            hour = hours.setdefault(bucket // _BUCKETS_PER_HOUR, Counter())
            hour.update(_of_hour(own, held, armed))
        # A time after now, which a payer's clock may tell, is not now.
        now = self.now_ms() // BUCKET_MS
        newest = max((bucket for bucket in buckets if bucket <= now), default=0)
        latest = max(newest, self._newest)
        looked_at = QUIET_BUCKETS if self._is_quiet else WINDOW_BUCKETS
        hour_now = latest // _BUCKETS_PER_HOUR
        is_new = bool(latest) and hour_now != self._hour
        return TallyAsk(
            buckets=buckets,
            hours=hours,
            newest=newest,
            window=range(latest, max(latest - looked_at, 0), -1),
            history=_same_hours(hour_now) if is_new else (),
        )

    def _judged(self, told: Tallied, in_force: InForce) -> dict[str, bytes]:
        """What declines too much and has not tripped yet, as it is told."""
        found = {}
        for policy in in_force.deciding:
            of = f"n/{policy.version}"
            decisions = [counts.get(of, 0.0) for counts in told.window]
            for guard in policy.guards.values():
                name = trip_name(policy.version, guard.rule, in_force.rearmed)
                declines = [int(c.get(f"d/{name}", 0)) for c in told.window]
                if sum(declines) < guard.declines_min or name in told.trips:
                    continue
                window = list(zip(decisions, declines, strict=True))
                beyond = excess(window, self._usually(guard), guard)
                if beyond is not None:
                    found[name] = self._trip(policy.version, guard.rule, beyond)
        return found

    def _usually(self, guard: Guard) -> float:
        decisions = self._usual.get(f"n/{guard.key}", 0.0)
        return guard.usual(decisions, self._usual.get(f"d/{guard.key}", 0.0))

    def _trip(self, version: str, rule: str, beyond: Excess) -> bytes:
        declines, decisions = beyond.declines, beyond.decisions
        counts = (declines, decisions, declines / decisions)
        return json.dumps(asdict(Trip(version, rule, self.now_ms(), *counts))).encode()

    def _take(self, standing: Mapping[str, bytes]) -> None:
        """Hold back what tripped, here or in another process, and say so once."""
        if standing.keys() == self.in_force().tripped:
            return
        new = standing.keys() - self.trips.keys()
        self.trips = {name: _trip(name, told) for name, told in standing.items()}
        self.held(frozenset(standing))
        for name in new.intersection(self.in_force().held):
            _say(self.trips[name])
            self.telemetry.count(Event.BREAKER_TRIPPED)

    @property
    def holding(self) -> tuple[Trip, ...]:
        """What is held back now: of the policies in force, and not armed again."""
        held = self.in_force().held
        return tuple(self.trips[name] for name in held if name in self.trips)


def _quiet(window: Sequence[Counts], in_force: InForce) -> bool:
    """Whether somebody has to look further back than these five minutes."""
    for policy in in_force.deciding:
        of = f"n/{policy.version}"
        decisions = sum(counts.get(of, 0.0) for counts in window)
        if any(guard.is_quiet(decisions) for guard in policy.guards.values()):
            return True
    return False


def _is_final(answer: Answer) -> bool:
    """Whether a decision became the record here, and now."""
    return isinstance(answer, Decided) and answer.first and not answer.provisional


def _of_hour(own: _Counted, held: Collection[str], arms: Mapping[str, int]) -> Counts:
    """What a policy's rules were asked and declined; what is held back is not asked."""
    counts: Counter[str] = Counter()
    for rule, guard in own.policy.guards.items():
        if trip_name(own.policy.version, rule, arms) not in held:
            counts[f"n/{guard.key}"] += own.decisions * guard.share  # type: ignore[assignment]
            counts[f"d/{guard.key}"] += own.declines[rule]
    return counts


def _same_hours(hour: int) -> list[int]:
    """The same hour of each of the last days."""
    return [hour - _HOURS_PER_DAY * day for day in range(1, HISTORY_DAYS + 1)]


def _sum(history: Iterable[Counts]) -> Counts:
    total: Counter[str] = Counter()
    for counts in history:
        total.update(counts)
    return total


def _trip(name: str, told: bytes) -> Trip:
    """What a process told of a name (`trip_name`); a later release may say more.

    Of what cannot be read its name is known: that it tripped, not when and by how much.
    """
    try:
        said = json.loads(told)
        counts = (int(said["at_ms"]), int(said["declines"]), int(said["decisions"]))
        return Trip(
            str(said["policy"]), str(said["rule"]), *counts, float(said["share"])
        )
    except (ValueError, TypeError, LookupError, OverflowError):
        version, _, armed = name.partition("/")
        return Trip(version, armed.rpartition("/")[0], 0, 0, 0, 0.0)


def _say(trip: Trip) -> None:
    what = "all declines but those of lists" if trip.rule == WHOLE else trip.rule
    log.error(
        "the breaker holds back %s of policy %s: %s of %s payments were declined "
        "(%.1f %%), more than is usual; correct the policy, or arm it again",
        *(what, trip.policy, trip.declines, trip.decisions, 100 * trip.share),
    )
