"""The log: where decisions, dead letters and labels are appended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One record to append. `partition` None leaves the choice to murmur2(key)."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None

    def carrying(self, traceparent: str) -> LogRecord:
        """The same with the header by which its readers carry on a trace, if any.

        >>> LogRecord(topic="t", key=None, value=b"").carrying("00-a").headers
        (('traceparent', b'00-a'),)
        """
        if not traceparent:
            return self
        headers = (*self.headers, ("traceparent", traceparent.encode()))
        return replace(self, headers=headers)


class DecisionLog(Protocol):
    """Where decisions, dead letters and labels are appended."""

    def send(self, records: Sequence[LogRecord]) -> list[asyncio.Future[None]]:
        """Put records on their way; never blocks. Returns one future a record.

        It resolves when all in-sync replicas have the record, however long its
        outage; `RecordRefused` says that it never will. Records of one partition
        keep their order, and one partition's trouble is nobody else's. Cancelled,
        a record that has not left is taken back. Raises `LogUnavailable`, and takes
        nothing, where the log is closed or too much waits.
        """
        ...

    async def append(self, records: Sequence[LogRecord]) -> None:
        """Send, and return when every record is acknowledged.

        Raises `RecordsRefused` when all others are. Raises `LogUnavailable` as
        `send` does, and when the log is closed meanwhile.
        """
        ...

    async def close(self) -> None:
        """Flush and release; the log is unusable afterwards."""
        ...
