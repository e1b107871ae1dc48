"""Notices that files were written anew, and brings what they say together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from scoring.errors import BadArtifact

POLL_S = 1.0  # somebody wrote a file: a second later is at once

_Stamp = tuple[int, int, int] | None  # None: the file is not there
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileWatch(Generic[T]):
    """Follows files; what they hold is taken once they have stopped changing.

    `load` reads them in a worker thread. `take` gets what it made of them on the event
    loop, and says whether it has it; where not, it is asked again. `refused` is told
    why they were not taken, once until they change; what is in force stays.
    """

    files: Sequence[Path]
    load: Callable[[], T]
    take: Callable[[T], Awaitable[bool]]
    refused: Callable[[str], None]
    poll_s: float = POLL_S

    async def follow(self) -> None:
        """Watch until cancelled."""
        last, settled = self._stamps(), False
        while True:
            await asyncio.sleep(self.poll_s)
            stamp = await asyncio.to_thread(self._stamps)
            if stamp != last:
                # One may be half written: what is missing is no mistake to see.
                last, settled = stamp, False
            elif not settled:
                settled = await self._taken()

    async def _taken(self) -> bool:
        try:
            loaded = await asyncio.to_thread(self.load)
        except (BadArtifact, OSError) as error:
            self.refused(str(error))
            return True
        return await self.take(loaded)

    def _stamps(self) -> list[_Stamp]:
        return [_stamp(file) for file in self.files]


def _stamp(file: Path) -> _Stamp:
    try:
        status = file.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
