"""What the stream door does with one poll of labels, or of lifecycle events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from scoring.doors.stream.admission import Patience, Revoked, admitted
from scoring.doors.stream.dead_letters import LetterWriter
from scoring.doors.stream.output_dedup import Outputs
from scoring.doors.stream.partition_queue import end_process
from scoring.doors.stream.poll_consumer import Poll
from scoring.doors.stream.stall_detector import Progress
from scoring.doors.stream.transaction_lookup import PaymentSearch
from scoring.errors import CorruptState, ScoringError, UnknownTransaction
from scoring.pipeline.follow_ups import FollowUps, Joined, Reported, joined
from scoring.ports.events import Event
from scoring.ports.log import DecisionLog
from scoring.ports.telemetry import Telemetry

_log = logging.getLogger(__name__)
_STORE_S = 10.0  # for a whole poll: nobody waits for a follow-up
# How long after a follow-up its payment is looked for in the record, seconds apart.
_EARLY_RETRIES_S = (0.25, 0.5, 1.0, 2.0)
# Records of polls that wait for an unknown payment: some 1 kB each. More of them, and
# their partition waits, too.
_WAITING_RECORDS_MAX = 50_000
T = TypeVar("T")
Letter = tuple[Any, ScoringError]  # the record, and why it is not applied


@dataclass(slots=True, kw_only=True)
class FollowUpWork:
    """Applies follow-ups; what cannot be applied becomes a dead letter.

    One that nothing is known of waits beside its partition: for its payment at most
    `early_s`, then for the search of everything decided. Those behind it are applied
    meanwhile; they are committed, and their letters written, after it. `admit` reads a
    record of the topic, and `letters` writes its dead letters.
    """

    follow_ups: FollowUps
    admit: Callable[[Any], Reported]
    letters: LetterWriter
    search: PaymentSearch
    log: DecisionLog
    outputs: Outputs
    telemetry: Telemetry
    progress: Progress
    early_s: float = 5.0
    fail: Callable[[BaseException], None] = end_process
    _last: dict[Any, asyncio.Task[None]] = field(default_factory=dict)
    _waiting: int = 0
    _room: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, poll: Poll) -> None:
        """Apply what is known; finish the poll now, or once the rest is known.

        It stays unfinished where it was revoked meanwhile.
        """
        with suppress(Revoked):
            await self._take(poll)

    async def _take(self, poll: Poll) -> None:
        judged = admitted(await self.outputs.missing(poll), self.admit)
        letters = [(r, item) for r, item in judged if isinstance(item, ScoringError)]
        known = [(r, item) for r, item in judged if not isinstance(item, ScoringError)]
        unknown = await self._apply(poll, known, letters)
        before = self._last.get(poll.tp)
        if not unknown and (before is None or before.done()):
            await self._finish(poll, letters)
            return
        await self._wait_for_room(poll)
        rest = self._rest(poll, letters, unknown, before)
        self._last[poll.tp] = asyncio.get_running_loop().create_task(rest)

    async def _wait_for_room(self, poll: Poll) -> None:
        while (
            self._waiting and self._waiting + len(poll.records) > _WAITING_RECORDS_MAX
        ):
            self._room.clear()
            await self._room.wait()
        if poll.revoked:
            raise Revoked
        self._waiting += len(poll.records)

    async def _rest(
        self,
        poll: Poll,
        letters: list[Letter],
        unknown: list[tuple[Any, Reported]],
        before: asyncio.Task[None] | None,
    ) -> None:
        """Seek what is unknown, then finish the poll, after those before it."""
        try:
            letters += await self._sought(poll, unknown)
            if before is not None:
                await asyncio.wait([before])
            if not poll.revoked:
                await self._finish(poll, letters)
        except Revoked:
            pass
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the process ends with it
            self.fail(error)
        finally:
            self._waiting -= len(poll.records)
            self._room.set()

    async def _sought(
        self, poll: Poll, unknown: list[tuple[Any, Reported]]
    ) -> list[Letter]:
        """Apply those whose payment comes, or is found; the letters of the others."""
        letters: list[Letter] = []
        loop = asyncio.get_running_loop()
        gives_up_at = loop.time() + self.early_s
        for pause_s in (*_EARLY_RETRIES_S, self.early_s):
            if not unknown:
                return letters
            await asyncio.sleep(min(pause_s, max(gives_up_at - loop.time(), 0.0)))
            unknown = await self._apply(poll, unknown, letters)
        if unknown:
            letters += await self._searched(poll, unknown)
        return letters

    async def _searched(
        self, poll: Poll, unknown: list[tuple[Any, Reported]]
    ) -> list[Letter]:
        keys = [(own.tenant, own.transaction_id) for _, own in unknown]
        found = await self.search.payments(keys)
        learnable: list[Joined] = [
            joined(own, payment) if payment else UnknownTransaction(found.where)
            for (_, own), payment in zip(unknown, found.payments, strict=True)
        ]
        told = await self._learned(poll, learnable)
        records = [record for record, _ in unknown]
        return [(r, e) for r, e in zip(records, told, strict=True) if e is not None]

    async def _apply(
        self,
        poll: Poll,
        reported: list[tuple[Any, Reported]],
        letters: list[Letter],
    ) -> list[tuple[Any, Reported]]:
        """Apply what may be applied; returns those that nothing is known of yet.

        Letters of what may never be applied are added to `letters`.
        """
        if not reported:
            return []
        asked = [own for _, own in reported]
        found = await self._outlast(
            poll, partial(self.follow_ups.joined, asked, timeout_s=_STORE_S)
        )
        told = await self._learned(poll, found)
        unknown = []
        for own, error in zip(reported, told, strict=True):
            if isinstance(error, UnknownTransaction):
                unknown.append(own)
            elif error is not None:
                letters.append((own[0], error))
        return unknown

    async def _learned(
        self, poll: Poll, known: list[Joined]
    ) -> list[ScoringError | None]:
        if all(isinstance(one, ScoringError) for one in known):
            return [e for e in known if isinstance(e, ScoringError)]
        try:
            return await self._outlast(
                poll, partial(self.follow_ups.learn, known, timeout_s=_STORE_S)
            )
        except CorruptState as error:
            # What is whole has them; the rest gets them by a rebuild.
            _log.error(
                "follow-ups meet a damaged history: %s; run `scoring rebuild`", error
            )
            self.telemetry.count(Event.LABEL_CORRUPT)
            return await self._outlast(
                poll, partial(self.follow_ups.attest, known, timeout_s=_STORE_S)
            )

    async def _outlast(self, poll: Poll, exchange: Callable[[], Awaitable[T]]) -> T:
        return await Patience(self.telemetry, self.progress).outlast(poll, exchange)

    async def _finish(self, poll: Poll, letters: list[Letter]) -> None:
        letters.sort(key=lambda letter: letter[0].offset)
        told = [self.letters.letter(*letter) for letter in letters]
        await Patience(self.telemetry, self.progress).acknowledged(
            poll, self.log.append(told)
        )
        poll.finished = True
        self.progress.forward()
