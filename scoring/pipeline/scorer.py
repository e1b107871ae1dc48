"""The pipeline: observe, vectorise, predict, decide, record. Every door calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from scoring import wire
from scoring.core.decision.decision import DecisionCore, Degradation, DegradationCode
from scoring.core.features.apart import apart
from scoring.core.features.rates import Rates
from scoring.core.policy.decide import decide
from scoring.errors import TransactionConflict
from scoring.pipeline.answer import Answer, Decided, repeated_answer, standing_answer
from scoring.pipeline.batch import Artifacts, Batch, Seen
from scoring.pipeline.batch_gate import Between
from scoring.pipeline.budget import Budget
from scoring.pipeline.conflicts import explained
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.second_look import Looked, look_again
from scoring.pipeline.stage_timer import Idle, Stopwatch
from scoring.pipeline.steps import Step, reached
from scoring.pipeline.store_gateway import Exchanges
from scoring.pipeline.velocity_expiry import with_clearing_times
from scoring.ports.check import Check
from scoring.ports.history import Applied
from scoring.ports.model import Matrix, Scores
from scoring.ports.records import Recorded, Recording
from scoring.ports.store import Store
from scoring.ports.telemetry import Telemetry


@dataclass(slots=True)
class Scorer:
    """Decides transactions, many at a time.

    One instance serves one event loop. `now_ms` is the wall clock (traces only);
    `monotonic` is the clock that deadlines are instants of, seconds. Without
    `keeps_outbox` decisions leave nothing there: nobody publishes, or empties it.
    Without `publishes` only those of the stream door are encoded for the log.
    """

    store: Store
    artifacts: Artifacts
    provisional: Provisional
    telemetry: Telemetry
    now_ms: Callable[[], int]
    monotonic: Callable[[], float]
    budget: Budget = field(default_factory=Budget)
    keeps_outbox: bool = True
    publishes: bool = True
    _exchanges: Exchanges = field(init=False)
    _between: Between = field(init=False, default_factory=Between)

    def __post_init__(self) -> None:
        """Bring together what the exchanges with the store need."""
        self._exchanges = Exchanges(
            self.store, self.provisional.circuit, self.monotonic, self.budget
        )

    async def score_many(
        self,
        checks: Sequence[Check],
        *,
        wait_for_store: bool = False,
        idle: Idle | None = None,
        behind: int = 0,
    ) -> list[Answer]:
        """Decide; one answer a check, in order. `idle` gets the waiting for the store.

        `behind` further checks are decided after these, within the same time.

        An answer is a decision, a conflict, or (never for a store or model that
        failed) another `ScoringError`. Without the store, decisions are degraded
        and provisional; with `wait_for_store` (nobody waits) `StoreUnavailable` is
        raised for the whole batch instead, and repeating the call is safe. A check
        whose deadline passes is answered degraded and takes no other along.

        Where statistics count by outcome, a transaction must see how those before it
        were decided: the batch is then decided in several pieces.
        """
        transactions = [check.transaction for check in checks]
        answers: list[Answer] = []
        await self._between.begin()
        try:
            for piece in apart(self.artifacts.catalogue, transactions):
                answers += await self._score(
                    checks[piece],
                    self._watch(checks[piece], idle),
                    wait_for_store=wait_for_store,
                    behind=behind + len(checks) - piece.stop,
                )
        finally:
            self._between.end()
        return answers

    async def convert_by(self, rates: Rates, *, within_s: float) -> bool:
        """Convert by other rates from the next batch on; no batch sees two.

        False, and nothing changed, where one under way lasts longer than `within_s`.
        """
        exchange = self.artifacts.catalogue.exchange

        def swap() -> None:
            exchange.rates = rates

        return await self._between.change(swap, within_s=within_s)

    def _watch(self, checks: Sequence[Check], idle: Idle | None) -> Stopwatch:
        """Runs since the first of them was admitted, where somebody waits."""
        watch = Stopwatch(self.monotonic, idle)
        admitted = [c.admitted_at for c in checks if c.admitted_at is not None]
        if admitted:
            watch.waited("queue", since=min(admitted))
        return watch

    async def _score(
        self,
        checks: Sequence[Check],
        watch: Stopwatch,
        *,
        wait_for_store: bool,
        behind: int,
    ) -> list[Answer]:
        answers = self._kept(checks)
        open_ = [i for i, answer in enumerate(answers) if answer is None]
        observed = await self._exchanges.observe(
            [checks[i] for i in open_],
            watch,
            wait_for_store=wait_for_store,
            behind=behind,
        )
        reached(Step.OBSERVED)
        watch.lap("observe")
        fresh: list[int] = []
        observations: list[Seen] = []
        for i, observation in zip(open_, observed, strict=True):
            answers[i] = self._settled(checks[i], observation)
            if answers[i] is None:
                fresh.append(i)
                observations.append(observation)
        if fresh:
            batch = Batch(
                [checks[i] for i in fresh],
                observations,
                self.artifacts,
                watch,
                wait_for_store=wait_for_store,
                behind=behind,
            )
            decided = await self._decide(batch)
            for i, answer in zip(fresh, decided, strict=True):
                answers[i] = answer
        told = await explained(self.store, checks, answers)
        self.telemetry.answered(checks, told, watch.durations_us)
        return [answer for answer in told if answer is not None]

    def _kept(self, checks: Sequence[Check]) -> list[Answer | None]:
        """What repeats of provisional answers are answered."""
        return [
            repeated_answer(kept) if isinstance(kept, bytes) else kept
            for kept in self.provisional.answers(checks)
        ]

    def _settled(self, check: Check, observation: Seen) -> Answer | None:
        """Answer what needs no decision: a conflict, or a decision recorded before."""
        if isinstance(observation, DegradationCode):
            return None
        if observation.applied is Applied.CONFLICT:
            return TransactionConflict(check.transaction.id)
        if observation.stored is None:
            return None
        return standing_answer(check, observation.stored)

    async def _decide(self, batch: Batch) -> list[Answer]:
        matrix = batch.vectorise()
        batch.watch.lap("vectorise")
        scores = batch.predict(matrix)
        batch.watch.lap("predict")
        if scores is not None and not any(check.dry_run for check in batch.checks):
            self.telemetry.scored(batch.artifacts.model.version, matrix, scores)
        looked = self._look_again(batch, matrix, scores)
        cores = [
            decide(
                check.transaction,
                check.payload_hash,
                policy=batch.artifacts.policy,
                evidence=evidence,
            )
            for check, evidence in zip(
                batch.checks, batch.evidence(matrix, scores, looked), strict=True
            )
        ]
        if any(reason.velocity for core in cores for reason in core.reasons):
            allowed_s = self._exchanges.clearing_time(batch)
            with batch.watch.waiting():
                cores = await with_clearing_times(
                    cores, batch, self.store, allowed_s=allowed_s
                )
        batch.watch.lap("decide")
        return await self._record(batch, cores)

    def _look_again(
        self, batch: Batch, matrix: Matrix, scores: Scores | None
    ) -> Looked | None:
        """Look again where the first score leaves doubt and the batch has time."""
        deeper = batch.artifacts.model.deeper
        if deeper is None or scores is None:
            return None
        deadlines = [check.deadline for check in batch.checks]
        now = self.monotonic()
        end = self.budget.looks_until(deadlines, now, behind=batch.behind)

        def in_time(i: int) -> bool:
            deadline = deadlines[i]
            return (deadline is None or deadline > now) and self.monotonic() < end

        looked = look_again(deeper, matrix, scores, in_time=in_time)
        for event, count in looked.counts().items():
            self.telemetry.count(event, count)
        batch.watch.lap("second_look")
        return looked

    async def _record(self, batch: Batch, cores: list[DecisionCore]) -> list[Answer]:
        at_ms = self.now_ms()
        recordings = [
            self._recording(batch, i, core, at_ms) for i, core in enumerate(cores)
        ]
        reached(Step.DECIDED)
        batch.watch.lap("encode")
        kept = [i for i in range(len(cores)) if batch.recordable(i)]
        standing = await self._exchanges.record(batch, {i: recordings[i] for i in kept})
        reached(Step.RECORDED)
        batch.watch.lap("record")
        # Copies within the batch made the same bytes: only the first is the writer.
        writers: dict[tuple[str, str], int] = {}
        for i in kept:
            key = (recordings[i].tenant, recordings[i].transaction_id)
            if i in standing and writers.setdefault(key, i) != i:
                standing[i] = replace(standing[i], first=False)
        return [
            self._answer(batch, i, core, recordings[i], standing.get(i))
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
        outboxed = self.keeps_outbox and not check.position and not check.dry_run
        return Recording(
            tenant=check.transaction.tenant,
            transaction_id=check.transaction.id,
            payload_hash=check.payload_hash,
            decision=decision,
            logged=wire.logged_to_bytes(decision, check) if outboxed else None,
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
            return standing_answer(check, recorded.decision)
        logged = recording.logged
        if logged is None and (self.publishes or check.position):
            logged = wire.logged_to_bytes(recorded.decision, check)
        return Decided(recorded.decision, core.outcome, first=True, logged=logged)

    def _provisional_answer(self, batch: Batch, i: int, core: DecisionCore) -> Answer:
        """Flag the decision and keep it for adoption.

        Where recording was tried, or only this check's time did not suffice to ask, a
        decision may stand in the record: then nothing goes to the log before adoption
        has seen what stands.
        """
        check = batch.checks[i]
        (kept,) = self._kept([check])  # by a pass beside this one
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
        logged = recording.logged or wire.logged_to_bytes(recording.decision, check)
        outlives = self.provisional.keep(check, replace(recording, logged=logged))
        return Decided(
            recording.decision,
            core.outcome,
            first=not unsure,
            provisional=True,
            logged=None if unsure else logged,
            outlives=outlives,
        )
