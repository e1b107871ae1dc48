"""What the edge must satisfy: the store, the log, the model; and what crosses them.

Every port has an in-memory twin in stores/memory/, and one contract suite
in tests/contract runs against both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.core.decision.decision import ComputeTarget, Degradation, Door, Outcome
from scoring.core.model.bundle import Band, Baseline
from scoring.core.quick import quick
from scoring.core.transaction.label import Verdict
from scoring.core.transaction.transaction import Transaction
from scoring.ports.events import Event

Matrix = NDArray[np.float32]


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One accepted transaction on its way to a decision.

    `admitted_at` and `deadline` are instants of the event loop's monotonic clock,
    seconds; None means that nobody is waiting (the stream door). `received_at_ms` is
    the broker's timestamp (Kafka) or the receipt (gRPC). `position` is where a Kafka
    record came from, "transactions/3@1234", and `incarnation` which topic of that
    name; empty and 0 for gRPC.
    """

    transaction: Transaction
    payload_hash: bytes
    received_at_ms: int
    door: Door
    admitted_at: float | None = None
    deadline: float | None = None
    position: str = ""
    incarnation: int = 0
    traceparent: str = ""
    dry_run: bool = False


class Applied(Enum):
    """What `observe` did with a transaction."""

    COUNTED = "counted"
    REPEATED = "repeated"  # counted before: features as of then, nothing changed
    TOO_LATE = "too_late"  # beyond the lateness allowed: read, never counted
    DRY_RUN = "dry_run"  # evaluated as if counted, nothing changed
    CONFLICT = "conflict"  # the id is claimed by another payload: nothing changed
    PARTLY = "partly"  # a part of the store was away: to be repeated when it is back


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the store knows as of one transaction.

    `values` holds the catalogue's stored statistics (float64, NaN unknown) in
    compiled order; `inexact` names those known only within their bound.
    `stored` is the recorded decision (Decision bytes) when there is one already.
    `processed_seq` orders all observations of one store; in a cluster, of those that
    overlap in two processes an entity may have seen the later first.
    """

    values: NDArray[np.float64]
    applied: Applied = Applied.COUNTED
    inexact: tuple[str, ...] = ()
    degradations: tuple[Degradation, ...] = ()
    stored: bytes | None = None
    processed_seq: int = 0


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A decision to be recorded.

    `decision` is the encoded Decision (core and trace); `logged` is the record for
    the decisions topic (the same with its transaction), kept in the outbox until
    `published` is told; None keeps no outbox entry (the stream door's own input
    log carries it). `transaction` and `outcome` let the statistics that count by
    outcome see it; without them they never do.
    """

    tenant: str
    transaction_id: str
    payload_hash: bytes
    decision: bytes
    logged: bytes | None = None
    transaction: Transaction | None = None
    outcome: Outcome = Outcome.UNSPECIFIED


@quick
@dataclass(frozen=True, slots=True)
class Recorded:
    """What stands in the record after `record`: the first writer's bytes.

    `first` is true where ours is what stands; `conflict` where another payload is.
    Where `reached` is false, what stands is not known: its part of the store was away.
    """

    decision: bytes
    first: bool
    conflict: bool = False
    reached: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTransaction:
    """A label joined with the transaction it speaks of.

    `fraud` is None for a withdrawn label. `known_at_ms` is when it became known.
    """

    transaction: Transaction
    version: int
    fraud: bool | None
    known_at_ms: int

    @property
    def verdict(self) -> Verdict:
        """What the label said."""
        if self.fraud is None:
            return Verdict.WITHDRAWN
        return Verdict.FRAUD if self.fraud else Verdict.LEGITIMATE


class Store(Protocol):
    """Feature state and decision records.

    Every method raises `StoreUnavailable` when the store fails, as `StoreLate` when it
    does not answer within `timeout_s`; whether the update happened is then unknown,
    and repeating it is safe. A store without its history is `HistoryLost`: nothing is
    written there, whatever the method.
    """

    async def observe(
        self,
        checks: Sequence[Check],
        *,
        timeout_s: float | None = None,
        partly: bool = False,
    ) -> list[Observation]:
        """Claim, update and read, in one exchange; atomic per entity.

        Idempotent per entity and transaction. Returns one observation a check, in
        order; the transactions of one batch see each other in that order. A check
        with `dry_run` changes nothing. An id claimed by another payload changes
        nothing and comes back as CONFLICT.

        With `partly`, a store of several parts answers while some are away: what it
        cannot tell whole comes back as PARTLY, its known values with a degradation
        that says what is missing. Such a check is to be observed again.
        """
        ...

    async def record(
        self,
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None = None,
        partly: bool = False,
    ) -> list[Recorded]:
        """Record decisions in one exchange; the first writer wins.

        With the decision its outcome is counted, where a statistic asks for it. With
        `partly`, those whose part of the store is away come back as not `reached`.
        """
        ...

    async def adopt(
        self,
        checks: Sequence[Check],
        recordings: Sequence[Recording],
        *,
        timeout_s: float | None = None,
    ) -> list[Recorded]:
        """Record decisions that were made without the store, and count their checks.

        As `record` and then `observe`, in one exchange where the store is one, and
        nobody asks what was seen.
        """
        ...

    async def decisions(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[bytes | None]:
        """Return recorded decisions by (tenant, transaction id), None where none."""
        ...

    async def payments(
        self, keys: Sequence[tuple[str, str]], *, timeout_s: float | None = None
    ) -> list[Transaction | None]:
        """The payments of recorded decisions by (tenant, transaction id).

        Whole but for their attributes; None where none is recorded, or an earlier
        release recorded it.
        """
        ...

    async def attest(
        self, labels: Sequence[LabelledTransaction], *, timeout_s: float | None = None
    ) -> list[bool]:
        """Whether each label stands: the first verdict of a version does.

        Kept as long as a label can matter. A label that stands is not learned yet.
        """
        ...

    async def learn(
        self, labels: Sequence[LabelledTransaction], *, timeout_s: float | None = None
    ) -> list[bool]:
        """Apply the labels that stand; idempotent by transaction and version.

        Returns which do, as `attest`.
        """
        ...

    async def forecast(
        self,
        transaction: Transaction,
        *,
        features: Sequence[str],
        after_ms: int,
        instants_max: int,
        timeout_s: float | None = None,
    ) -> list[tuple[int, NDArray[np.float64]]]:
        """How the stored values fall if nothing else is attempted.

        One (at_ms, values) for each instant after `after_ms` at which a window of
        one of the `features` loses an event, earliest first, at most
        `instants_max`: what the same payload would observe then, from the events
        ordered at or before the transaction. Entities that own none of the
        `features` are left unknown.
        """
        ...

    def outbox_pages(
        self, *, count: int
    ) -> AsyncIterator[list[tuple[str, str, bytes]]]:
        """What is recorded but unpublished, (tenant, id, logged bytes), in pages of
        about `count`.

        What stands there from the first page to the last comes at least once.
        """
        ...

    async def lease(self, name: str, holder: str, *, for_s: float) -> bool:
        """Whether a task of all processes is `holder`'s for the next seconds.

        It is where nobody else's is; asking again renews it. No fence: two may
        believe so for a moment.
        """
        ...

    async def published(self, keys: Sequence[tuple[str, str]]) -> None:
        """Remove from the outbox what the log has acknowledged."""
        ...

    async def ping(self, *, timeout_s: float | None = None) -> bool:
        """Whether all of the store takes our writes, or only a part of a cluster.

        Raises `StoreUnavailable` where none of it does, `HistoryLost` where its
        history is not there.
        """
        ...

    async def close(self) -> None:
        """Release connections; the store is unusable afterwards."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One record to append. `partition` None leaves the choice to murmur2(key)."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None


class DecisionLog(Protocol):
    """Where decisions, dead letters and labels are appended."""

    def send(self, records: Sequence[LogRecord]) -> list[asyncio.Future[None]]:
        """Put records on their way; never blocks. Returns one future a record.

        It resolves when all in-sync replicas have the record, however long the log
        is away; `RecordRefused` says that it never will. Records of one partition
        keep their order, and one partition's trouble is nobody else's. Cancelled,
        a record that has not left is taken back. Raises `LogUnavailable`, and takes
        nothing, where the log is closed or too much waits.
        """
        ...

    async def append(self, records: Sequence[LogRecord]) -> None:
        """Send, and return when every record is acknowledged.

        Raises `RecordsRefused` when all others are. Raises `LogUnavailable` as
        `send` does, and when the log is closed meanwhile.
        """
        ...

    async def close(self) -> None:
        """Flush and release; the log is unusable afterwards."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the model says of n rows.

    `margin` (n,) raw log-odds; `probability` (n,) calibrated, 0 to 1;
    `contributions` (n, groups) added log-odds by reason group.
    """

    margin: NDArray[np.float32]
    probability: NDArray[np.float32]
    contributions: Matrix
    target: ComputeTarget = ComputeTarget.ENSEMBLE


@dataclass(frozen=True, slots=True)
class DeeperModel:
    """The larger model of a bundle, and the first scores for which it is asked."""

    band: Band
    model: Model


class Model(Protocol):
    """A loaded model bundle."""

    @property
    def version(self) -> str:
        """Content hash of the bundle."""
        ...

    @property
    def features_version(self) -> str:
        """Hash of the feature definitions it was trained on."""
        ...

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The vector's order."""
        ...

    @property
    def reason_groups(self) -> tuple[str, ...]:
        """Reason group of each column of the contributions."""
        ...

    @property
    def baseline(self) -> Baseline | None:
        """What scores and features looked like in training; None: not known."""
        ...

    @property
    def deeper(self) -> DeeperModel | None:
        """What looks again where the first score leaves doubt; None: nothing."""
        ...

    def predict(self, matrix: Matrix) -> Scores:
        """Score (n, features) float32 rows, NaN missing; runs in the caller's thread.

        A row's result does not depend on its neighbours. Raises `ModelUnavailable`.
        """
        ...


class Telemetry(Protocol):
    """What is counted. Never raises, never blocks."""

    def answered(
        self,
        checks: Sequence[Check],
        answers: Sequence[object],
        durations_us: Mapping[str, int],
    ) -> None:
        """Count one batch: `answers` are decisions or errors, one a check."""
        ...

    def count(self, event: Event, n: int = 1) -> None:
        """Count something that has a name and nothing else."""
        ...

    def scored(self, model: str, matrix: Matrix, scores: Scores) -> None:
        """Take note of one batch of vectors and of what a model version made of it."""
        ...

    def judged(self, model: str, score: float, *, fraud: bool) -> None:
        """Count a transaction scored by a model version whose truth is known now."""
        ...


class Spool(Protocol):
    """A bounded local place for provisional answers, which outlives the process."""

    def append(self, logged: bytes) -> bool:
        """Keep one logged Decision; False where it was not taken."""
        ...

    def take_over(self) -> list[bytes]:
        """What a process that has ended kept here, oldest first; blocks.

        One of them at a time: nothing where none is left. It stays until `clear`.
        """
        ...

    def clear(self) -> None:
        """Forget everything: all of it was adopted."""
        ...

    def close(self) -> None:
        """Leave what was not cleared to whoever takes it over."""
        ...
