"""A queue for each partition: polls of one in order, partitions side by side."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from scoring.core.transaction.card_number import masked
from scoring.doors.stream.poll_consumer import Poll
from scoring.pipeline.micro_batcher import BATCH_COUNT_MAX

# Polls taken and not finished: enough that a partition's wait for their turn without
# keeping other partitions from beginning, and few enough to hold in memory.
TAKEN_MAX = 16
# Records of polls that are worked on together: what one micro-batch decides.
TOGETHER_MAX = BATCH_COUNT_MAX
Acknowledge = Callable[[], Awaitable[Any]]


class Work(Protocol):
    """What is done with polls of one partition that waited for their turn together."""

    async def __call__(self, polls: Sequence[Poll]) -> None:
        """Finish the polls, in order, now or later; never one that was revoked.

        Anything raised ends the process: an exception that stayed inside would lose
        the polls, because later ones of the same partition go on.
        """
        ...


@dataclass(slots=True)
class PartitionQueues:
    """Takes polls in delivery order; those of one partition go one after the other.

    What waits for the polls before it holds up no other partition, and goes together,
    up to `TOGETHER_MAX` records: an exchange with the store and one with the log cost
    as much for one poll as for many. How much is decided at a time is not bounded here:
    see `MicroBatcher`.
    """

    work: Work
    fail: Callable[[BaseException], None]
    _taken: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(TAKEN_MAX)
    )
    _waiting: defaultdict[Any, deque[tuple[Poll, Acknowledge]]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    _tasks: dict[Any, asyncio.Task[None]] = field(default_factory=dict)

    async def take(self, poll: Poll, acknowledge: Acknowledge) -> None:
        """Take a poll as soon as there is room; returns before it is finished."""
        await self._taken.acquire()
        poll.idle.clear()
        self._waiting[poll.tp].append((poll, acknowledge))
        if poll.tp not in self._tasks:
            run = self._run(poll.tp)
            self._tasks[poll.tp] = asyncio.get_running_loop().create_task(run)

    async def _run(self, tp: Any) -> None:
        """Work on a partition's polls until none waits."""
        waiting = self._waiting[tp]
        try:
            while waiting:
                await self._finish(together(waiting))
        finally:
            del self._tasks[tp]

    async def _finish(self, taken: Sequence[tuple[Poll, Acknowledge]]) -> None:
        try:
            polls = [poll for poll, _ in taken if not poll.revoked]
            if polls:
                await self.work(polls)
            for poll, acknowledge in taken:
                # What is not finished yet is by nobody but itself: see `Poll`.
                if poll.finished or not poll.revoked:
                    await acknowledge()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the process ends with it
            self.fail(error)
        finally:
            for poll, _ in taken:
                poll.idle.set()
                self._taken.release()


def together(
    waiting: deque[tuple[Poll, Acknowledge]],
) -> list[tuple[Poll, Acknowledge]]:
    """Take what goes next: one poll, and those behind it that fit, in their order.

    All are of one `epoch`: between two of them a partition was given up, or read from
    elsewhere.
    """
    first, _ = waiting[0]
    taken, count = [waiting.popleft()], len(first.records)
    while waiting:
        poll, _ = waiting[0]
        count += len(poll.records)
        if count > TOGETHER_MAX or poll.epoch != first.epoch:
            break
        taken.append(waiting.popleft())
    return taken


def end_process(error: BaseException) -> None:
    """Say in one last line why, and end at once: the supervisor starts another.

    Frames are shown, values never: an exception's text may quote its input.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    said = masked(f"{type(error).__name__}: {error}".encode())[0].decode()
    sys.stderr.write(
        f"{frames}scoring stream: ended by {' '.join(said.split())}; "
        "what was not committed is delivered again\n"
    )
    sys.stderr.flush()
    os._exit(1)
