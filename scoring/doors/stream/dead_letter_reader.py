"""Reads dead letters back, and turns one into the record it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scoring.kafka.reader import LogReader
from scoring.kafka.record_values import message_in
from scoring.ports.log import LogRecord
from scoring.v1 import transaction_pb2

_CUT_KEY_BYTES, _CUT_HEADERS, _CUT_HEADER_BYTES = 4_096, 32, 1_024


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter as it lies in its topic; `position` is its own, "3@17"."""

    position: str
    message: transaction_pb2.DeadLetter

    @property
    def reason(self) -> str:
        """Its reason without the prefix: CONFLICT."""
        name = transaction_pb2.DeadLetterReason.Name(self.message.reason)
        return name.removeprefix("DEAD_LETTER_REASON_")

    @property
    def whole(self) -> bool:
        """Whether the original can be restored: nothing overwritten, nothing cut."""
        return not (self.message.masked or _cut(self.message))

    def record(self) -> LogRecord:
        """The original record, for the topic it came from.

        The partition is left to the key: the topic may have grown since.
        """
        return LogRecord(
            topic=self.message.topic,
            key=self.message.key or None,
            value=self.message.value,
            headers=tuple((h.key, h.value) for h in self.message.headers),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """One dead-letter topic."""

    bootstrap: str
    options: Mapping[str, Any]
    topic: str

    async def read(self) -> list[Letter]:
        """All letters, oldest first.

        Raises `LogUnavailable`, and `BadArtifact` where there is no such topic.
        """
        async with LogReader(self.bootstrap, self.options) as log:
            spans = await log.extents(self.topic)
            records = [
                record
                async for _, batch in log.records(self.topic, spans)
                for record in batch
            ]
        records.sort(key=lambda record: record.timestamp)
        return [letter for record in records for letter in letters_in(record)]


def _cut(letter: transaction_pb2.DeadLetter) -> bool:
    """Whether something of the original is not there.

    An earlier release did not say so, but cut at these sizes.
    """
    if letter.HasField("cut"):
        return letter.cut
    return (
        len(letter.value) < letter.value_size_bytes
        or len(letter.key) >= _CUT_KEY_BYTES
        or len(letter.headers) >= _CUT_HEADERS
        or any(
            max(len(h.key.encode()), len(h.value)) >= _CUT_HEADER_BYTES
            for h in letter.headers
        )
    )


def letters_in(record: Any) -> list[Letter]:
    """The letter of one record; none where it is not one of ours."""
    letter = message_in(record, transaction_pb2.DeadLetter)
    if letter is None:
        return []
    return [Letter(f"{record.partition}@{record.offset}", letter)]
