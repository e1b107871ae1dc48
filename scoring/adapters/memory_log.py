"""The log in memory: what was appended, in order, for tests and dry runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scoring.errors import LogUnavailable
from scoring.ports import LogRecord


@dataclass(slots=True)
class MemoryLog:
    """Keeps every record; `available` False makes it refuse, as a lost broker does."""

    records: list[LogRecord] = field(default_factory=list)
    available: bool = True

    async def append(self, records: Sequence[LogRecord]) -> None:
        """Keep the records; raises `LogUnavailable` when told to, or closed."""
        if not self.available:
            raise LogUnavailable("the log is not available")
        self.records.extend(records)

    def of(self, topic: str) -> list[LogRecord]:
        """The records of one topic, in order."""
        return [record for record in self.records if record.topic == topic]

    async def close(self) -> None:
        """Refuse from now on."""
        self.available = False
