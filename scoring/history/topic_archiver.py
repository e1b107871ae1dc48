"""Brings an archive up to date with the topics, from where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scoring.core.transaction.label import Label
from scoring.core.transaction.lifecycle import LifecycleEvent
from scoring.errors import InvalidTransaction, ScoringError
from scoring.history.archive import Archive, Incarnation
from scoring.history.rows import Row, decision_row, event_row, label_row
from scoring.kafka.reader import Extent, LogReader
from scoring.kafka.topic_names import Topics
from scoring.tables.row_accounting import Place, RowAccount

_ROWS_PER_FILE = 20_000
Progress = Callable[[str, int, int], None]  # what, done, of


def silent(_what: str, _done: int, _of: int) -> None:
    """A progress that nobody watches."""


@dataclass(slots=True)
class Taken:
    """What one run took: rows by kind, and what could not be taken.

    `account` has every record that is none of ours, by its place in the topic.
    """

    rows: dict[str, int] = field(default_factory=dict)
    account: RowAccount = field(default_factory=RowAccount)
    expired: int = 0  # records that the topic dropped before we came
    remade: list[str] = field(default_factory=list)  # topics that were made again
    short: list[str] = field(default_factory=list)  # that end before where we are

    def __str__(self) -> str:
        """One line for the operator.

        >>> print(Taken({"decisions": 1200, "labels": 3, "events": 2}))
        1,200 decisions, 3 labels, 2 events taken
        """
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in self.rows.items())
        lacking = ""
        if refused := self.account.refused.total():
            lacking += f"; {refused:,} records are not ours"
        if self.expired:
            lacking += f"; {self.expired:,} had expired before they were taken"
        for topic in self.remade:
            lacking += f"; {topic} was made again and is taken from its start"
        for topic in self.short:
            lacking += (
                f"; {topic} ends before what was taken of it: if it was made again, "
                "move the archive elsewhere and archive again"
            )
        return f"{kinds} taken{lacking}"


@dataclass(frozen=True, slots=True)
class TopicSource:
    """The topics, and what admits their labels and events.

    Both raise a `ScoringError` for what the door refuses.
    """

    reader: LogReader
    topics: Topics
    admit_label: Callable[[Any], Label]
    admit_event: Callable[[Any], LifecycleEvent]


async def archive_topics(
    archive: Archive,
    source: TopicSource,
    *,
    account: RowAccount,
    progress: Progress = silent,
) -> Taken:
    """Take everything appended to the topics until now; safe to interrupt."""
    archive.prepare()
    taken = Taken(account=account)
    topics = source.topics
    labels = partial(label_row, admit=source.admit_label)
    events = partial(event_row, admit=source.admit_event)
    sources: Mapping[str, tuple[str, Callable[[Any], Row]]] = {
        "decisions": (topics.decisions, decision_row),
        "labels": (topics.labels, labels),
        "events": (topics.events, events),
    }
    for kind, (topic, row_of) in sources.items():
        run = _Run(archive, kind, row_of, taken)
        await run.over(source.reader, topic, progress)
    return taken


@dataclass(slots=True)
class _Run:
    """One topic on its way into the archive."""

    archive: Archive
    kind: str
    row_of: Callable[[Any], Row]
    taken: Taken
    waiting: dict[int, list[Row]] = field(default_factory=dict)
    base: Mapping[int, int] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    read: dict[int, int] = field(default_factory=dict)

    async def over(self, reader: LogReader, topic: str, progress: Progress) -> None:
        """Take the whole topic from where the archive is."""
        extents = await reader.extents(topic)
        self._recognise(topic, await reader.topic_id(topic))
        spans = {
            partition: self._span(topic, partition, extent)
            for partition, extent in extents.items()
        }
        whole = sum(max(span.end - span.first, 0) for span in spans.values())
        self.taken.rows[self.kind] = done = 0
        stage = f"{self.kind} read"
        progress(stage, done, whole)
        async for partition, records in reader.records(topic, spans):
            self._add(partition, records)
            done += len(records)
            progress(stage, done, whole)
        for partition, span in spans.items():
            end = self.base.get(partition, 0) + span.end
            self._write(partition, max(end, self.read.get(partition, 0)))

    def _recognise(self, topic: str, topic_id: str) -> None:
        """See whether it is the topic of which was taken before; else begin anew."""
        known = self.archive.incarnation(self.kind)
        self.base = known.base
        if topic_id in ("", known.id):
            return
        if known.id:
            self.base = self.archive.offsets(self.kind)
            self.taken.remade.append(topic)
        self.archive.begin(self.kind, Incarnation(topic_id, self.base))

    def _span(self, topic: str, partition: int, extent: Extent) -> Extent:
        """What is to be taken of a partition, by the broker's own offsets."""
        base = self.base.get(partition, 0)
        noted = max(self.archive.offsets(self.kind).get(partition, 0), base) - base
        start = max(noted, extent.first)
        self.taken.expired += start - noted
        if noted > extent.end and topic not in self.taken.short:
            self.taken.short.append(topic)
        self.first[partition] = base + start
        return Extent(start, extent.end)

    def _add(self, partition: int, records: list[Any]) -> None:
        base = self.base.get(partition, 0)
        kept = self.waiting.setdefault(partition, [])
        for row in filter(None, map(self._admitted, records)):
            kept.append(row | {"log_offset": row["log_offset"] + base})
        self.read[partition] = base + records[-1].offset + 1
        if len(self.waiting[partition]) >= _ROWS_PER_FILE:
            self._write(partition, self.read[partition])

    def _admitted(self, record: Any) -> Row | None:
        account = self.taken.account
        account.rows += 1
        try:
            return self.row_of(record)
        except ScoringError as error:
            place = Place(f"{self.kind}/{record.partition}", record.offset, "offset")
            told = error.message if isinstance(error, InvalidTransaction) else error
            account.refuse(place, error.field, str(told))
            return None

    def _write(self, partition: int, end: int) -> None:
        rows = self.waiting.pop(partition, [])
        if end > self.first[partition]:
            self.archive.take(self.kind, partition, rows, (self.first[partition], end))
            self.taken.rows[self.kind] += len(rows)
            self.first[partition] = end
