"""The pipeline: observe, vectorise, predict, decide, record. Every door calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from scoring.core.decision.decision import DegradationCode
from scoring.core.features.batch_split import apart
from scoring.core.features.rates import Rates
from scoring.core.policy.decide import decide
from scoring.errors import TransactionConflict
from scoring.pipeline.answer import Answer, recorded_answer
from scoring.pipeline.batch import Artifacts, Batch, Seen
from scoring.pipeline.batch_gate import Between
from scoring.pipeline.conflicts import explained
from scoring.pipeline.door_options import DoorOptions
from scoring.pipeline.reconciler import Provisional
from scoring.pipeline.recorder import Recorder
from scoring.pipeline.safeguards.decline_breaker import DeclineBreaker
from scoring.pipeline.safeguards.let_through_budget import LetThroughBudget
from scoring.pipeline.second_look import Looked, look_again
from scoring.pipeline.stage_timer import Idle, Stopwatch
from scoring.pipeline.steps import Step, reached
from scoring.pipeline.store_gateway import StoreGateway
from scoring.pipeline.velocity_expiry import with_clearing_times
from scoring.ports.check import Check
from scoring.ports.history import Applied
from scoring.ports.model import Matrix, Scores
from scoring.ports.telemetry import Telemetry


@dataclass(slots=True)
class Scorer:
    """Decides transactions, many at a time, as its door wants it.

    One instance serves one event loop. `now_ms` is the wall clock (traces only).
    """

    gateway: StoreGateway
    artifacts: Artifacts
    provisional: Provisional
    telemetry: Telemetry
    now_ms: Callable[[], int]
    options: DoorOptions = field(default_factory=DoorOptions)
    breaker: DeclineBreaker = field(init=False)
    _recorder: Recorder = field(init=False)
    _let_through: LetThroughBudget = field(init=False)
    _between: Between = field(init=False, default_factory=Between)

    def __post_init__(self) -> None:
        """Record as the door wants it."""
        gateway = self.gateway
        self._recorder = Recorder(gateway, self.provisional, self.options, self.now_ms)
        self._let_through = LetThroughBudget(gateway, self.telemetry)
        self.breaker = DeclineBreaker(
            gateway.store.tallies,
            self.telemetry,
            self.now_ms,
            in_force=lambda: self.artifacts.in_force,
            held=self._hold_back,
            asks=lambda: gateway.circuit.asks,
        )

    def _hold_back(self, tripped: frozenset[str]) -> None:
        """Decide without what tripped, from the next batch on."""
        in_force = replace(self.artifacts.in_force, tripped=tripped)
        self.artifacts = replace(self.artifacts, in_force=in_force)

    async def score_many(
        self, checks: Sequence[Check], *, idle: Idle | None = None, behind: int = 0
    ) -> list[Answer]:
        """Decide; one answer a check, in order. `idle` gets the waiting for the store.

        `behind` further checks are decided after these, within the same time.

        An answer is a decision, a conflict, or (never for a store or model that
        failed) another `ScoringError`. Without the store, decisions are degraded
        and provisional; a door that waits for it gets `StoreUnavailable` for the
        whole batch instead, and repeating the call is safe. A check whose deadline
        passes is answered degraded and takes no other along.

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
        watch = Stopwatch(self.gateway.monotonic, idle)
        admitted = [c.admitted_at for c in checks if c.admitted_at is not None]
        if admitted:
            watch.waited("queue", since=min(admitted))
        return watch

    async def _score(
        self, checks: Sequence[Check], watch: Stopwatch, *, behind: int
    ) -> list[Answer]:
        answers = self.provisional.answers(checks)
        open_ = [i for i, answer in enumerate(answers) if answer is None]
        observed = await self.gateway.observe(
            [checks[i] for i in open_], watch, behind=behind
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
                behind=behind,
            )
            decided = await self._decide(batch)
            for i, answer in zip(fresh, decided, strict=True):
                answers[i] = answer
        told = await explained(self.gateway, checks, answers)
        self.telemetry.answered(checks, told, watch.durations_us)
        return [answer for answer in told if answer is not None]

    def _settled(self, check: Check, observation: Seen) -> Answer | None:
        """Answer what needs no decision: a conflict, or a decision recorded before."""
        if isinstance(observation, DegradationCode):
            return None
        if observation.applied is Applied.CONFLICT:
            return TransactionConflict(check.transaction.id)
        if observation.stored is None:
            return None
        return recorded_answer(check, observation.stored)

    async def _decide(self, batch: Batch) -> list[Answer]:
        matrix = batch.vectorise()
        batch.watch.lap("vectorise")
        scores = batch.predict(matrix)
        batch.watch.lap("predict")
        if scores is not None and not any(check.dry_run for check in batch.checks):
            self.telemetry.scored(batch.artifacts.model.version, matrix, scores)
        looked = self._look_again(batch, matrix, scores)
        policies = batch.policies()
        evidences = batch.evidence(policies, matrix, scores, looked)
        cores = [
            decide(
                check.transaction, check.payload_hash, policy=policy, evidence=evidence
            )
            for check, policy, evidence in zip(
                batch.checks, policies, evidences, strict=True
            )
        ]
        if any(reason.velocity for core in cores for reason in core.reasons):
            with batch.watch.waiting():
                cores = await with_clearing_times(cores, batch, self.gateway)
        cores = await self._let_through.sampled(batch, policies, cores)
        batch.watch.lap("decide")
        batch = batch.with_shadows(evidences)
        answers = await self._recorder.answers(batch, cores)
        self.breaker.count(policies, batch.checks, cores, answers)
        self.telemetry.decided(batch.checks, cores, answers)
        return answers

    def _look_again(
        self, batch: Batch, matrix: Matrix, scores: Scores | None
    ) -> Looked | None:
        """Look again where the first score leaves doubt and the batch has time."""
        deeper = batch.artifacts.model.deeper
        if deeper is None or scores is None:
            return None
        deadlines = [check.deadline for check in batch.checks]
        monotonic = self.gateway.monotonic
        now = monotonic()
        end = self.gateway.budget.looks_until(deadlines, now, behind=batch.behind)

        def in_time(i: int) -> bool:
            deadline = deadlines[i]
            return (deadline is None or deadline > now) and monotonic() < end

        looked = look_again(deeper, matrix, scores, in_time=in_time)
        for event, count in looked.counts().items():
            self.telemetry.count(event, count)
        batch.watch.lap("second_look")
        return looked
