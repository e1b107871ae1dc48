"""The log in memory: what was appended, in order, for tests and dry runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from scoring.errors import LogUnavailable, RecordRefused, RecordsRefused
from scoring.ports.log import LogRecord


@dataclass(slots=True)
class MemoryLog:
    """Keeps every record; `available` False makes it refuse, as a closed log does.

    A value above `bytes_max` is refused for good.
    """

    records: list[LogRecord] = field(default_factory=list)
    available: bool = True
    bytes_max: int = 1_000_000

    def send(self, records: Sequence[LogRecord]) -> list[asyncio.Future[None]]:
        """Keep them at once; raises `LogUnavailable` when told to, or closed."""
        if not self.available:
            raise LogUnavailable("the log is not available")
        return [self._kept(record) for record in records]

    def _kept(self, record: LogRecord) -> asyncio.Future[None]:
        kept = asyncio.get_running_loop().create_future()
        if len(record.value) > self.bytes_max:
            kept.set_exception(RecordRefused(record.topic, "too large"))
            kept.exception()  # told once more to whoever asks
        else:
            self.records.append(record)
            kept.set_result(None)
        return kept

    async def append(self, records: Sequence[LogRecord]) -> None:
        """See `ports.DecisionLog`."""
        told = await asyncio.gather(*self.send(records), return_exceptions=True)
        refused = {i: e for i, e in enumerate(told) if isinstance(e, RecordRefused)}
        if refused:
            raise RecordsRefused(refused)

    def of(self, topic: str) -> list[LogRecord]:
        """The records of one topic, in order."""
        return [record for record in self.records if record.topic == topic]

    async def close(self) -> None:
        """Refuse from now on."""
        self.available = False
