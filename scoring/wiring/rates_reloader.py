"""Notices that the file of exchange rates was written anew, and brings what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from scoring.core.features.rates import Rates
from scoring.errors import BadArtifact

POLL_S = 1.0  # rates change by the day

_Stamp = tuple[int, int, int] | None  # None: the file is not there


@dataclass(frozen=True, slots=True)
class RatesWatch:
    """Follows one file; what it holds is taken once it has stopped changing.

    `load` reads it in a worker thread. `take` gets the rates on the event loop, and
    says whether it has them; where not, it is asked again. `refused` is told why a file
    was not taken, once until it changes; the rates in force stay.
    """

    file: Path
    load: Callable[[], Rates]
    take: Callable[[Rates], Awaitable[bool]]
    refused: Callable[[str], None]
    poll_s: float = POLL_S

    async def follow(self) -> None:
        """Watch until cancelled."""
        last, settled = _stamp(self.file), False
        while True:
            await asyncio.sleep(self.poll_s)
            stamp = await asyncio.to_thread(_stamp, self.file)
            if stamp != last:
                # It may be half written: a row that is missing is no mistake to see.
                last, settled = stamp, False
            elif not settled:
                settled = await self._taken()

    async def _taken(self) -> bool:
        try:
            rates = await asyncio.to_thread(self.load)
        except (BadArtifact, OSError) as error:
            self.refused(str(error))
            return True
        return await self.take(rates)


def _stamp(file: Path) -> _Stamp:
    try:
        status = file.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)
