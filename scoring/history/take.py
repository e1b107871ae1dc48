"""Brings an archive up to date with the topics, from where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scoring.adapters.kafka_history import Extent, LogReader
from scoring.core.label import Label
from scoring.history.archive import Archive
from scoring.history.rows import Row, decision_row, label_row
from scoring.topics import Topics

_ROWS_PER_FILE = 20_000
Progress = Callable[[str, int, int], None]  # what, done, of


def silent(_what: str, _done: int, _of: int) -> None:
    """A progress that nobody watches."""


@dataclass(slots=True)
class Taken:
    """What one run took: rows by kind, and what could not be taken."""

    rows: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    expired: int = 0  # records that the topic dropped before we came

    def __str__(self) -> str:
        """One line for the operator.

        >>> print(Taken({"decisions": 1200, "labels": 3}))
        1,200 decisions, 3 labels taken
        """
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in self.rows.items())
        lacking = ""
        if self.unreadable:
            lacking += f"; {self.unreadable:,} records are not ours"
        if self.expired:
            lacking += f"; {self.expired:,} had expired before they were taken"
        return f"{kinds} taken{lacking}"


async def take(
    archive: Archive,
    reader: LogReader,
    topics: Topics,
    *,
    admit: Callable[[Any], Label],
    progress: Progress = silent,
) -> Taken:
    """Take everything appended to the topics until now; safe to interrupt.

    `admit` raises a `ScoringError` for a label that the stream door refuses.
    """
    archive.prepare()
    taken = Taken()
    sources: Mapping[str, tuple[str, Callable[[Any], Row | None]]] = {
        "decisions": (topics.decisions, decision_row),
        "labels": (topics.labels, partial(label_row, admit=admit)),
    }
    for kind, (topic, row_of) in sources.items():
        run = _Run(archive, kind, row_of, taken)
        await run.over(reader, topic, progress)
    return taken


@dataclass(slots=True)
class _Run:
    """One topic on its way into the archive."""

    archive: Archive
    kind: str
    row_of: Callable[[Any], Row | None]
    taken: Taken
    waiting: dict[int, list[Row]] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)

    async def over(self, reader: LogReader, topic: str, progress: Progress) -> None:
        """Take the whole topic from where the archive stands."""
        noted = self.archive.offsets(self.kind)
        spans = {}
        for partition, extent in (await reader.extents(topic)).items():
            start = max(noted.get(partition, 0), extent.first)
            self.taken.expired += start - noted.get(partition, 0)
            spans[partition] = Extent(start, extent.end)
            self.first[partition] = start
        whole = sum(max(span.end - span.first, 0) for span in spans.values())
        self.taken.rows[self.kind] = done = 0
        stage = f"{self.kind} read"
        progress(stage, done, whole)
        async for partition, records in reader.records(topic, spans):
            self._add(partition, records)
            done += len(records)
            progress(stage, done, whole)
        for partition, span in spans.items():
            self._write(partition, max(span.end, self.read.get(partition, 0)))

    def _add(self, partition: int, records: list[Any]) -> None:
        rows = [self.row_of(record) for record in records]
        kept = [row for row in rows if row is not None]
        self.taken.unreadable += len(rows) - len(kept)
        self.waiting.setdefault(partition, []).extend(kept)
        self.read[partition] = records[-1].offset + 1
        if len(self.waiting[partition]) >= _ROWS_PER_FILE:
            self._write(partition, self.read[partition])

    def _write(self, partition: int, end: int) -> None:
        rows = self.waiting.pop(partition, [])
        if end > self.first[partition]:
            self.archive.take(self.kind, partition, rows, (self.first[partition], end))
            self.taken.rows[self.kind] += len(rows)
            self.first[partition] = end
