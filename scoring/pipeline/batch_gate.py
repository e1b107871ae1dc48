"""A change to what batches share, made while none of them is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Between:
    """Batches run beside one another; a change runs beside none.

    It serves one event loop. While a change waits, the next batches do.
    """

    _under_way: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _changing: asyncio.Event | None = None

    async def begin(self) -> None:
        """Enter with a batch, which has to `end`."""
        while self._changing is not None:
            await self._changing.wait()
        self._under_way += 1

    def end(self) -> None:
        """Leave with a batch."""
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def change(self, make: Callable[[], None], *, within_s: float) -> bool:
        """Make a change, or none where a batch lasts longer than `within_s`.

        One change at a time.
        """
        self._changing = over = asyncio.Event()
        self._idle.clear()
        try:
            if self._under_way:
                await asyncio.wait_for(self._idle.wait(), within_s)
            make()
        except TimeoutError:
            return False
        finally:
            self._changing = None
            over.set()
        return True
