"""Decisions as they are counted: by outcome, by what made them, by what was missing."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from itertools import product

from prometheus_client import CollectorRegistry, Counter

from scoring.core.decision.decision import (
    DecisionCore,
    DegradationCode,
    Door,
    Outcome,
    Rung,
)
from scoring.pipeline.answer import Decided
from scoring.ports.check import Check
from scoring.ports.metrics import decisions
from scoring.telemetry.families import counter_of

_DOORS = 2 * len(Door)  # with and without provisional
_PROVISIONAL = {False: "false", True: "true"}
# Outcome, door, provisional, policy and model.
Key = tuple[Outcome, Door, bool, str, str]


class DecisionMetrics:
    """Counts decisions; of versions, only those in force and those just before them.

    So a series ends a swap later than what it counts, and none is kept for ever.
    """

    def __init__(self, definitions: str, registry: CollectorRegistry) -> None:
        """`definitions` is the version of the process's feature definitions."""
        self._definitions = definitions
        self._made = counter_of(decisions.MADE, registry)
        rungs = counter_of(decisions.RUNG, registry)
        missing = counter_of(decisions.DEGRADATIONS, registry)
        self._rungs = {r: rungs.labels(r.name.lower()) for r in Rung if r}
        self._missing = {
            c: missing.labels(c.name.lower()) for c in DegradationCode if c
        }
        self._children: dict[Key, Counter] = {}
        self._in_force: frozenset[tuple[str, str]] = frozenset()
        self._before: frozenset[tuple[str, str]] = frozenset()
        self._policies: tuple[str, ...] = ()
        self._model = ""

    def policies_in_force(self, policies: Iterable[str]) -> None:
        """From now on these versions decide."""
        self._policies = tuple(policies)
        self._changed()

    def model_in_force(self, model: str) -> None:
        """From now on this version scores."""
        self._model = model
        self._changed()

    def decided(
        self,
        checks: Sequence[Check],
        cores: Sequence[DecisionCore],
        answers: Sequence[object],
    ) -> None:
        """Count those that are made here, and are no dry run."""
        # By plain numbers: the hash of an enum's member is a call of its own.
        made: dict[tuple[int, str, str], int] = {}
        rungs = [0] * len(Rung)
        missing: Tally[DegradationCode] = Tally()
        for check, core, answer in zip(checks, cores, answers, strict=True):
            if check.dry_run or not isinstance(answer, Decided):
                continue
            if not (answer.first or answer.provisional):
                continue
            versions = core.versions
            number = core.outcome * _DOORS + check.door * 2 + answer.provisional
            place = (number, versions.policy, versions.model)
            made[place] = made.get(place, 0) + 1
            rungs[core.rung] += 1
            for degradation in core.degradations:
                missing[degradation.code] += 1
            if answer.provisional and not core.provisional:  # found out when recording
                missing[DegradationCode.NOT_RECORDED] += 1
        for (number, policy, model), count in made.items():
            outcome, door = Outcome(number // _DOORS), Door(number % _DOORS // 2)
            key = (outcome, door, bool(number % 2), policy, model)
            self._child(key).inc(count)
        for rung, count in enumerate(rungs):
            if count and rung:
                self._rungs[Rung(rung)].inc(count)
        for code, count in missing.items():
            self._missing[code].inc(count)

    def _child(self, key: Key) -> Counter:
        child = self._children.get(key)
        if child is None:  # decided by what has just been replaced, twice
            other = (*key[:3], decisions.REPLACED, decisions.REPLACED)
            child = self._children.get(other) or self._begin(other)
        return child

    def _begin(self, key: Key) -> Counter:
        child = self._made.labels(*self._labels(key))
        self._children[key] = child
        return child

    def _labels(self, key: Key) -> tuple[str, ...]:
        outcome, door, provisional, policy, model = key
        names = (outcome.name.lower(), door.name.lower(), _PROVISIONAL[provisional])
        return (*names, policy, model, self._definitions)

    def _changed(self) -> None:
        now = frozenset(product(self._policies, (self._model,)))
        if not self._policies or not self._model or now == self._in_force:
            return
        self._before, self._in_force = self._in_force, now
        kept = self._before | now | {(decisions.REPLACED, decisions.REPLACED)}
        for key in [key for key in self._children if key[3:] not in kept]:
            del self._children[key]
            self._made.remove(*self._labels(key))
        doors = [door for door in Door if door]
        outcomes = [outcome for outcome in Outcome if outcome]
        for outcome, door, late in product(outcomes, doors, (False, True)):
            for policy, model in now:
                key = (outcome, door, late, policy, model)
                if key not in self._children:
                    self._begin(key)
