"""Makes decisions final where it can, and answers with what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from scoring import wire
from scoring.core.decision.decision import DecisionCore, Degradation, DegradationCode
from scoring.errors import TransactionConflict
from scoring.pipeline.answer import Answer, Decided, recorded_answer
from scoring.pipeline.batch import Batch
from scoring.pipeline.door_options import DoorOptions
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.steps import Step, reached
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.records import Recorded, Recording


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records the decisions of a batch; what cannot be recorded is provisional."""

    gateway: StoreGateway
    provisional: Provisional
    options: DoorOptions
    now_ms: Callable[[], int]

    async def answers(self, batch: Batch, cores: list[DecisionCore]) -> list[Answer]:
        """One answer a decision, in order.

        Raises `StoreUnavailable` where nobody waits.
        """
        at_ms = self.now_ms()
        recordings = [
            self._recording(batch, i, core, at_ms) for i, core in enumerate(cores)
        ]
        reached(Step.DECIDED)
        batch.watch.lap("encode")
        kept = [i for i in range(len(cores)) if batch.recordable(i)]
        recorded = await self.gateway.record(batch, {i: recordings[i] for i in kept})
        reached(Step.RECORDED)
        batch.watch.lap("record")
        # Copies within the batch made the same bytes: only the first is the writer.
        writers: dict[tuple[str, str], int] = {}
        for i in kept:
            key = (recordings[i].tenant, recordings[i].transaction_id)
            if i in recorded and writers.setdefault(key, i) != i:
                recorded[i] = replace(recorded[i], first=False)
        return [
            self._answer(batch, i, core, recordings[i], recorded.get(i))
            for i, core in enumerate(cores)
        ]

    def _recording(
        self, batch: Batch, i: int, core: DecisionCore, decided_at_ms: int
    ) -> Recording:
        check = batch.checks[i]
        decision = wire.decision_to_bytes(
            wire.core_to_bytes(core),
            wire.trace_to_bytes(
                check,
                decided_at_ms=decided_at_ms,
                stages_us=batch.watch.durations_us,
                batch_size=len(batch.checks),
                processed_seq=batch.processed_seq(i),
            ),
        )
        # The stream door's own input log carries its decisions over a crash.
        outboxed = self.options.outbox and not check.position and not check.dry_run
        return Recording(
            tenant=check.transaction.tenant,
            transaction_id=check.transaction.id,
            payload_hash=check.payload_hash,
            decision=decision,
            logged=batch.logged(i, decision) if outboxed else None,
            transaction=check.transaction,
            outcome=core.outcome,
        )

    def _answer(
        self,
        batch: Batch,
        i: int,
        core: DecisionCore,
        recording: Recording,
        recorded: Recorded | None,
    ) -> Answer:
        check = batch.checks[i]
        if check.dry_run:
            return Decided(recording.decision, core.outcome, first=False)
        if recorded is None:
            return self._provisional_answer(batch, i, core)
        if recorded.conflict:
            return TransactionConflict(check.transaction.id)
        if not recorded.first:
            return recorded_answer(check, recorded.decision)
        logged = recording.logged
        if logged is None and (self.options.log or check.position):
            logged = batch.logged(i, recorded.decision)
        return Decided(recorded.decision, core.outcome, first=True, logged=logged)

    def _provisional_answer(self, batch: Batch, i: int, core: DecisionCore) -> Answer:
        """Flag the decision and keep it until it is reconciled.

        Where recording was tried, or only this check's time did not suffice to ask, a
        decision may be in the record: then nothing goes to the log before it is
        reconciled with what is recorded.
        """
        check = batch.checks[i]
        (kept,) = self.provisional.answers([check])  # by a batch beside this one
        if kept is not None:
            return kept
        tried = not core.provisional
        unsure = tried or (self.provisional.store_available and not batch.knows(i))
        if tried:
            missing = Degradation(DegradationCode.NOT_RECORDED, "record")
            core = replace(
                core, provisional=True, degradations=(*core.degradations, missing)
            )
        recording = self._recording(batch, i, core, self.now_ms())
        logged = recording.logged or batch.logged(i, recording.decision)
        outlives = self.provisional.keep(check, replace(recording, logged=logged))
        return Decided(
            recording.decision,
            core.outcome,
            first=not unsure,
            provisional=True,
            logged=None if unsure else logged,
            outlives=outlives,
        )
