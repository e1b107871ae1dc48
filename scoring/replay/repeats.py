"""Rows that were decided before this run: the stream worker writes nothing for them."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

_LETTERS_MAX = 1_000  # of strangers, in a live topic


@dataclass(slots=True)
class Repeats:
    """Finds rows that the worker's group has passed without an answer.

    A row is one once the group, seen before its record, is seen behind it, and then
    everything is read that the outputs held by that time: what a worker answers is
    appended before it commits. A position behind a record from the beginning proves
    nothing: it may be that of a topic made again. `ends` is a consumer that is given
    uncommitted records too, so that no answer hides behind a transaction.
    """

    admin: Any
    ends: Any
    group: str
    _records: dict[str, Future[Any]] = field(default_factory=dict)
    _lowest: dict[Any, int] = field(default_factory=dict)
    _passed: set[str] = field(default_factory=set)
    _read_to: dict[Any, int] = field(default_factory=dict)
    _letters: dict[tuple[int, int], str] = field(default_factory=dict)

    async def begin(self, partitions: Iterable[Any]) -> None:
        """See where the group is before anything is sent."""
        await self._committed(partitions)

    def sent(self, transaction_id: str, record: Future[Any]) -> None:
        """Note the record that a row becomes."""
        self._records[transaction_id] = record

    def letter(self, partition: int, offset: int, reason: str) -> None:
        """Note a dead letter by its record: a masked one does not tell its id."""
        self._letters[partition, offset] = reason
        if len(self._letters) > _LETTERS_MAX:
            del self._letters[next(iter(self._letters))]

    def refused(self, waiting: Iterable[str]) -> list[tuple[str, str]]:
        """The waiting rows whose letters came, each with its reason."""
        places = self._places(waiting) if self._letters else {}
        return [
            (name, self._letters[tp.partition, offset])
            for name, (tp, offset) in places.items()
            if (tp.partition, offset) in self._letters
        ]

    async def found(self, waiting: Sequence[str], read_to: dict[Any, int]) -> list[str]:
        """The waiting rows that were decided before; they are found at a later look.

        `read_to` says how far each output partition has been read.
        """
        self._records = {n: r for n in waiting if (r := self._records.get(n))}
        if not read_to:
            return []
        if self._passed:
            behind = (read_to.get(tp, -1) < end for tp, end in self._read_to.items())
            if any(behind):
                return []
            passed, self._passed = self._passed, set()
            return [name for name in waiting if name in passed]
        places = self._places(waiting)
        committed = await self._committed({tp for tp, _ in places.values()})
        self._passed = {
            name
            for name, (tp, offset) in places.items()
            if self._lowest[tp] <= offset < committed[tp]
        }
        if self._passed:
            self._read_to = await self.ends.end_offsets(list(read_to))
        return []

    def _places(self, waiting: Iterable[str]) -> dict[str, tuple[Any, int]]:
        """Partition and offset of the waiting rows that are appended."""
        places = {}
        for name in waiting:
            record = self._records.get(name)
            if record and record.done() and not record.exception():
                told = record.result()
                places[name] = told.topic_partition, told.offset
        return places

    async def _committed(self, partitions: Iterable[Any]) -> dict[Any, int]:
        """Where the group is; -1 where it never was."""
        asked = list(partitions)
        if not asked:
            return {}
        told = await self.admin.list_consumer_group_offsets(
            self.group, partitions=asked
        )
        committed = {tp: told[tp].offset if tp in told else -1 for tp in asked}
        for tp, offset in committed.items():
            self._lowest[tp] = min(self._lowest.get(tp, offset), offset)
        return committed
