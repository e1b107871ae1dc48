"""Brings releases into force: compiled beside the event loop, swapped on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from scoring.core.policy.in_force import InForce
from scoring.lists.keeper import ListKeeper
from scoring.lists.managed import ManagedLists
from scoring.releases.control_records import ControlIntake, ControlRecord
from scoring.releases.control_topic import ControlTopic, Read
from scoring.releases.release_keeper import Released, ReleaseKeeper


@dataclass(slots=True)
class ReleaseFollower:
    """Follows the topic, and changes what is in force by what could be loaded.

    `change` gets a function of what is in force now, on the event loop: it swaps one
    reference. `counted` is told how many releases were taken and refused.
    """

    topic: ControlTopic
    keeper: ReleaseKeeper
    lists: ListKeeper
    change: Callable[[Callable[[InForce], InForce]], None]
    counted: Callable[[int, int], None]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _intake: ControlIntake = field(init=False)
    _refusals: int = 0

    def __post_init__(self) -> None:
        """Admit records of a first pass."""
        self._begin_pass()

    async def follow(self) -> None:
        """Follow until cancelled; never raises for Kafka or for what it says."""
        async with aclosing(self.topic.reads()) as reads:
            async for read in reads:
                await self._took(read)

    async def _took(self, read: Read) -> None:
        if read.first:
            self._begin_pass()
        before = self.lists.current
        released = await asyncio.to_thread(self._taken, read)
        changed = released is not None or self.lists.current is not before
        if changed:
            self.change(partial(in_force_of, released, self.lists.current))
        if changed or self._refusals:
            self.counted(int(released is not None), self._refusals)
            self._refusals = 0
            self.changed.set()
        if read.whole:
            self.caught_up.set()
        await asyncio.to_thread(self._save)

    def _save(self) -> None:
        self.keeper.save()
        self.lists.save()

    def _begin_pass(self) -> None:
        self._intake = ControlIntake(self._refuse)
        self.keeper.begin_again()

    def _refuse(self, why: str) -> None:
        self._refusals += 1
        self.keeper.refuse(why)

    def _taken(self, read: Read) -> Released | None:
        """What comes into force by these records; blocks.

        Of the releases that a topic holds from before, only the newest is compiled.
        """
        before = self._told()
        records = list(self._intake.admitted(read.records))
        self.keeper.take(records)
        if any(record.key.list for record in records):
            self._take_lists(records)
        released = self.keeper.settle() if read.whole else None
        for was, now in zip(before, self._told(), strict=True):
            self._refusals += now not in {"", was}
        return released

    def _told(self) -> tuple[str, str]:
        return self.keeper.refused, self.keeper.list_refused

    def _take_lists(self, records: list[ControlRecord]) -> None:
        self.lists.take((record.key, record.value) for record in records)
        self.keeper.list_refused = self.lists.fault


def in_force_of(
    released: Released | None, lists: ManagedLists, held: InForce
) -> InForce:
    """What is in force by a release, None for the one that is, and by these lists.

    What was tripped stays, and acts again where the release says that a person armed
    it.
    """
    if released is not None:
        candidate = released.release.candidate
        held = replace(
            held,
            policy=released.policy,
            candidate=released.candidate,
            share=0.0 if candidate is None else candidate.share,
            shadows=released.shadows,
            rearmed=released.release.rearmed,
        )
    candidate_policy = held.candidate
    return replace(
        held,
        policy=held.policy.with_lists(lists.lists),
        candidate=candidate_policy and candidate_policy.with_lists(lists.lists),
        shadows=tuple(policy.with_lists(lists.lists) for policy in held.shadows),
        lists_revision=lists.revision,
    )
