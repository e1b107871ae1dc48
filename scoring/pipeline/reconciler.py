"""Answers given without the store, reconciled with it when it has recovered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from google.protobuf.message import DecodeError

from scoring import wire
from scoring.core.decision.decision import Outcome
from scoring.core.transaction.difference import differing
from scoring.core.transaction.transaction import payload_hash
from scoring.errors import BadArtifact, ScoringError, TransactionConflict
from scoring.pipeline.answer import Answer, repeated_answer
from scoring.pipeline.door_options import DoorOptions
from scoring.pipeline.steps import Step, reached
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.check import Check
from scoring.ports.events import Event
from scoring.ports.records import Recording
from scoring.ports.spool import Spool
from scoring.ports.telemetry import Telemetry

log = logging.getLogger(__name__)
# Some 2 ms of a loop where callers wait for answers, and of a store that they share.
_RECONCILED_PER_EXCHANGE = 16
# A worker that died is replaced within a second; one that is not leaves its spool.
_TAKE_OVER_INTERVAL_S = 10.0

Key = tuple[str, str]  # tenant and transaction id


@dataclass(slots=True)
class Kept:
    """A provisional answer waiting to become the record."""

    check: Check
    recording: Recording
    is_logged: bool = False

    @classmethod
    def restored(cls, logged: bytes) -> Kept:
        """What was spooled; raises `ValueError` for bytes that are no answer."""
        try:
            message = wire.decision_from_bytes(logged)
            transaction = wire.accepted_from_proto(message.transaction)
            outcome, door = Outcome(message.core.outcome), wire.door_of(logged)
        except (DecodeError, ScoringError) as error:
            raise ValueError("no provisional answer") from error
        if not transaction.id or message.core.transaction_id != transaction.id:
            raise ValueError("no provisional answer")
        check = Check(
            transaction=transaction,
            payload_hash=payload_hash(transaction),
            received_at_ms=wire.ms_from_timestamp(message.received_at),
            door=door,
        )
        recording = Recording(
            tenant=transaction.tenant,
            transaction_id=transaction.id,
            payload_hash=check.payload_hash,
            decision=wire.decision_part(logged),
            logged=logged,
            transaction=transaction,
            outcome=outcome,
        )
        return cls(check, recording)

    def record(self, *, outbox: bool) -> Recording:
        """As it becomes the record: final, and on its way to the log if it must be."""
        carries = outbox and not self.is_logged
        return replace(
            self.recording,
            decision=wire.recorded(self.recording.decision),
            logged=self.recording.logged if carries else None,
        )


def is_answer(spooled: bytes) -> bool:
    """Whether these bytes are a provisional answer as it is spooled."""
    try:
        Kept.restored(spooled)
    except ValueError:
        return False
    return True


@dataclass(slots=True)
class Provisional:
    """What was answered without the store, until it is the record.

    While the circuit is open nobody waits for the store: one probe at a time asks
    whether it has recovered. Then every kept answer becomes the record (unless
    another is there) and its transaction is observed, before new work. An answer
    leaves the spool when it is in the record and is in the log, or in the outbox
    beside the record (where its door has one), which carries it there. Bounded by
    `count_max`; what the spool does not take is counted as `provisional_overflow`.
    """

    gateway: StoreGateway
    spool: Spool
    telemetry: Telemetry
    count_max: int
    options: DoorOptions = field(default_factory=DoorOptions)
    refused: Callable[[BadArtifact], None] = log.error
    _kept: dict[Key, Kept] = field(default_factory=dict)
    _recovery: asyncio.Task[None] | None = None
    _watch: asyncio.Task[None] | None = None
    _is_taking_over: bool = False

    def __post_init__(self) -> None:
        """Have the store probed whenever its circuit opens."""
        self.gateway.circuit.on_open = self._recover

    @property
    def store_available(self) -> bool:
        """Whether the store is asked."""
        return self.gateway.circuit.asks

    @property
    def count(self) -> int:
        """How many answers are still to be reconciled."""
        return len(self._kept)

    @property
    def oldest_at_ms(self) -> int | None:
        """When the first of them was received, ms since 1970; None for none."""
        first = next(iter(self._kept.values()), None)
        return None if first is None else first.check.received_at_ms

    def answers(self, checks: Sequence[Check]) -> list[Answer | None]:
        """Answers to repeats of what is kept: the same decision, or a conflict."""
        if not self._kept:
            return [None] * len(checks)
        return [self._answer(check) for check in checks]

    def _answer(self, check: Check) -> Answer | None:
        kept = self._kept.get((check.transaction.tenant, check.transaction.id))
        if kept is None or check.dry_run:
            return None
        if kept.check.payload_hash != check.payload_hash:
            t = check.transaction
            return TransactionConflict(t.id, differing(kept.check.transaction, t))
        return repeated_answer(kept.recording.decision)

    def keep(self, check: Check, recording: Recording) -> bool:
        """Keep an answer to reconcile; False where it would not outlive this process.

        `recording.logged` is what the log is to get, from whoever appends it first:
        the relay, which says so by `logged`, or the outbox once it is reconciled.
        """
        assert recording.logged is not None
        reached(Step.SPOOLING)
        has_room = len(self._kept) < self.count_max
        outlives = has_room and self.spool.append(recording.logged)
        if not outlives:
            self.telemetry.count(Event.PROVISIONAL_OVERFLOW)
        if has_room:
            key = (recording.tenant, recording.transaction_id)
            self._kept[key] = Kept(check, recording)
        self._recover()
        reached(Step.SPOOLED)
        return outlives

    def logged(self, key: Key) -> bool:
        """Take note that an answer is in the log: nothing else need carry it there.

        False where it was reconciled before: then the outbox may hold it.
        """
        kept = self._kept.get(key)
        if kept is None:
            return False
        kept.is_logged = True
        return True

    async def start(self) -> None:
        """Ask the store once, and take over what other processes left, now and later.

        An unavailable store keeps nobody from starting. Raises `BadArtifact` where it
        can never be asked, as our settings are; found out later, `refused` is told.
        """
        await self.gateway.contact()
        await self.take_over()
        self._watch = asyncio.get_running_loop().create_task(self._take_over_again())

    async def _take_over_again(self) -> None:
        while True:
            await asyncio.sleep(_TAKE_OVER_INTERVAL_S)
            await self.take_over()

    async def take_over(self) -> None:
        """Keep what processes that ended had spooled, while there is room.

        A repeat of any of it is answered as it was.
        """
        self._is_taking_over = True
        try:
            while len(self._kept) < self.count_max:
                left = await asyncio.to_thread(self.spool.take_over)
                if not left:
                    break
                for i, logged in enumerate(left, 1):
                    kept = Kept.restored(logged)
                    key = (kept.recording.tenant, kept.recording.transaction_id)
                    self._kept.setdefault(key, kept)
                    if i % _RECONCILED_PER_EXCHANGE == 0:
                        await asyncio.sleep(0)
        finally:
            self._is_taking_over = False
        self._clear()
        if self._kept:
            reached(Step.TAKEN_OVER)
            self._recover()

    def _recover(self) -> None:
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.get_running_loop().create_task(self._reconcile())

    async def _reconcile(self) -> None:
        circuit = self.gateway.circuit
        while self._kept or not circuit.asks:
            await asyncio.sleep(circuit.pause_s)
            try:
                # What is kept waits for the whole store.
                await self.gateway.probe(self._reconcile_all)
            except BadArtifact as error:
                self.refused(error)
                return

    async def _reconcile_all(self) -> bool:
        """Make every kept answer the record; False where there was none."""
        loop, any_kept = asyncio.get_running_loop(), bool(self._kept)
        while self._kept:
            began = loop.time()
            keys = list(islice(self._kept, _RECONCILED_PER_EXCHANGE))
            batch = [self._kept[key] for key in keys]
            recordings = [k.record(outbox=self.options.outbox) for k in batch]
            reached(Step.RECONCILING)
            told = await self.gateway.reconcile([k.check for k in batch], recordings)
            reached(Step.RECONCILED)
            for key in keys:
                self._kept.pop(key, None)
            self.telemetry.count(
                Event.PROVISIONAL_RECONCILED, sum(r.first for r in told)
            )
            # Logged while they were reconciled: their outbox need not carry them.
            twice = [
                key
                for key, kept, own in zip(keys, batch, recordings, strict=True)
                if kept.is_logged and own.logged is not None
            ]
            if twice:
                await self.gateway.clear_outbox(twice)
            if self._kept and self.store_available:
                # A part was unavailable: callers are decided in full, and go halves.
                await asyncio.sleep(loop.time() - began)
        self._clear()
        if any_kept:
            reached(Step.SPOOL_CLEARED)
        return any_kept

    def _clear(self) -> None:
        """Empty the spool where all of it was reconciled."""
        if not self._kept and not self._is_taking_over:
            self.spool.clear()

    async def close(self) -> None:
        """Stop probing; what is still kept stays in the spool."""
        tasks = [task for task in (self._recovery, self._watch) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.spool.close()
