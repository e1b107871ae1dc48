"""One lane a partition: polls of a partition in order, partitions side by side."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from scoring.core.transaction.card_number import masked
from scoring.doors.stream.poll_consumer import Poll
from scoring.telemetry.logs import flush_logs

_log = logging.getLogger(__name__)

# Polls taken and not finished: enough that a partition's wait for their turn without
# keeping other partitions from beginning, and few enough to hold in memory.
TAKEN_MAX = 16


class Work(Protocol):
    """What is done with one poll."""

    async def __call__(self, poll: Poll) -> None:
        """Finish the poll now or later, or never where it was revoked.

        Anything raised ends the process: an exception that stayed inside would lose
        the poll, because later ones of the same partition continue.
        """
        ...


@dataclass(slots=True)
class PartitionQueues:
    """Takes polls in delivery order; those of one partition go one after the other.

    A poll that waits for the one before it holds up no other partition. How much is
    decided at a time is not bounded here: see `MicroBatcher`.
    """

    work: Work
    fail: Callable[[BaseException], None]
    _taken: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(TAKEN_MAX)
    )
    _turns: defaultdict[Any, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def take(self, poll: Poll, acknowledge: Callable[[], Awaitable[Any]]) -> None:
        """Take a poll as soon as there is room; returns before it is finished."""
        await self._taken.acquire()
        poll.idle.clear()
        task = asyncio.get_running_loop().create_task(self._run(poll, acknowledge))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, poll: Poll, acknowledge: Callable[[], Awaitable[Any]]) -> None:
        try:
            async with self._turns[poll.tp]:  # first come, first served
                if not poll.revoked:
                    await self.work(poll)
            # What is not finished yet is by nobody but itself: see `Poll`.
            if poll.finished or not poll.revoked:
                await acknowledge()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the process ends with it
            self.fail(error)
        finally:
            poll.idle.set()
            self._taken.release()


def end_process(error: BaseException) -> None:
    """Say in one last line why, and end at once: the supervisor starts another.

    Frames are shown, values never: an exception's text may quote its input.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    said = masked(f"{type(error).__name__}: {error}".encode())[0].decode()
    _log.critical(
        "scoring stream: ended by %s; what was not committed is delivered again",
        " ".join(said.split()),
        extra={"cause": type(error).__name__, "frames": frames},
    )
    flush_logs()
    os._exit(1)
