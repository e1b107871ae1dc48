"""Checks decided together, and the evidence that each decision rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scoring import wire
from scoring.core.decision.decision import (
    ComputeTarget,
    Degradation,
    DegradationCode,
    SecondLook,
    ShadowOutcome,
    Versions,
    rung_of,
)
from scoring.core.features.catalogue import Catalogue
from scoring.core.features.unknown_amounts import (
    ALL_KNOWN,
    UnknownAmounts,
    unknown_amounts,
)
from scoring.core.features.vector import unknown_values, vectorise
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.in_force import InForce
from scoring.core.policy.policy import Policy
from scoring.errors import ModelUnavailable
from scoring.pipeline.second_look import Looked
from scoring.pipeline.stage_timer import Stopwatch
from scoring.ports.check import Check
from scoring.ports.history import Applied, Observation
from scoring.ports.model import Matrix, Model, Scores

# What the store knew, or why it was not asked in time.
Seen = Observation | DegradationCode


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What was learned and what was written: swapped as one reference."""

    catalogue: Catalogue
    model: Model
    in_force: InForce

    def versions(self, policy: Policy, rates: str) -> Versions:
        """What a decision made with these names; `rates` is `Rates.version_at`."""
        return Versions(
            self.model.version,
            policy.version,
            self.catalogue.version,
            rates,
            self.in_force.lists_revision,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Checks that are decided together, with what the store knew of each.

    `behind` further checks of the same call are decided after these. `shadowed` says
    what each policy in shadow would have decided, where there is one.
    """

    checks: list[Check]
    observations: list[Seen]
    artifacts: Artifacts
    watch: Stopwatch
    behind: int = 0
    shadowed: Sequence[tuple[ShadowOutcome, ...]] = ()

    def with_shadows(self, evidences: Sequence[Evidence]) -> Batch:
        """The batch with what the policies in shadow would have decided, if any."""
        shadows = self.artifacts.in_force.shadows
        if not shadows:
            return self
        pairs = zip(self.checks, evidences, strict=True)
        return replace(self, shadowed=[_shadowed(c, e, shadows) for c, e in pairs])

    def logged(self, i: int, decision: bytes) -> bytes:
        """The record of a check's decision for the decisions topic."""
        shadows = wire.shadows_to_bytes(self.shadowed[i]) if self.shadowed else b""
        return wire.logged_to_bytes(decision, self.checks[i], shadows)

    def vectorise(self) -> Matrix:
        """(checks, features) float32; unknown history is NaN."""
        transactions = [check.transaction for check in self.checks]
        return vectorise(self.artifacts.catalogue, transactions, self._values())

    def _values(self) -> list[NDArray[np.float64]]:
        unknown = unknown_values(self.artifacts.catalogue)
        return [
            seen.values if isinstance(seen, Observation) else unknown
            for seen in self.observations
        ]

    def policies(self) -> list[Policy]:
        """The policy that decides each check: one swap apart, never two."""
        in_force = self.artifacts.in_force
        if in_force.sole is not None:  # nearly always
            return [in_force.sole] * len(self.checks)
        return [in_force.of(check.transaction) for check in self.checks]

    def _versions(self, policies: Sequence[Policy]) -> list[Versions]:
        """What each decision names: most payments of a batch are of one day."""
        rates = self.artifacts.catalogue.exchange.rates
        found: dict[tuple[str, str], Versions] = {}
        named: list[Versions] = []
        last, versions = None, Versions()
        for check, policy in zip(self.checks, policies, strict=True):
            version = rates.version_at(check.transaction.occurred_at_ms)
            if policy is not last or version != versions.rates:
                key = (policy.version, version)
                if key not in found:
                    found[key] = self.artifacts.versions(policy, version)
                last, versions = policy, found[key]
            named.append(versions)
        return named

    def predict(self, matrix: Matrix) -> Scores | None:
        """Scores of all rows, or None where the model failed."""
        try:
            return self.artifacts.model.predict(matrix)
        except ModelUnavailable:
            return None

    def knows(self, i: int) -> bool:
        """Whether the store answered for this check."""
        return isinstance(self.observations[i], Observation)

    def recordable(self, i: int) -> bool:
        """Whether the decision may become final: all its history was asked for."""
        return _is_whole(self.observations[i]) and not self.checks[i].dry_run

    def processed_seq(self, i: int) -> int:
        """Order in which the store processed it; 0 where it did not."""
        seen = self.observations[i]
        return seen.processed_seq if isinstance(seen, Observation) else 0

    def evidence(
        self,
        policies: Sequence[Policy],
        matrix: Matrix,
        scores: Scores | None,
        looked: Looked | None = None,
    ) -> list[Evidence]:
        """Everything that each decision rests on, in the order of the checks.

        `policies` decide them. With `looked`, a second look that was taken makes the
        score.
        """
        n = len(self.checks)
        last = looked.second if looked else scores
        groups = self.artifacts.model.reason_groups
        rows = zip(
            self.checks,
            self.observations,
            matrix,
            last.margin.tolist() if last else [None] * n,
            last.probability.tolist() if last else [None] * n,
            last.contributions if last else [None] * n,
            looked.looks if looked else [SecondLook.UNSPECIFIED] * n,
            unknown_amounts(self.artifacts.catalogue, self._values()),
            self._versions(policies),
            strict=True,
        )
        evidence = []
        for i, row in enumerate(rows):
            check, seen, vector, margin, score, parts, look, odd, versions = row
            degradations = _degradations(seen, scores)
            degradations += _of_amounts(self.artifacts.catalogue, check, odd)
            told = looked.of(i) if looked else scores
            if looked:
                degradations += looked.missing(i)
            evidence.append(
                Evidence(
                    vector=vector,
                    margin=margin,
                    probability=score,
                    contributions=parts,
                    reason_groups=groups,
                    versions=versions,
                    degradations=degradations,
                    inexact=_inexact(seen, odd),
                    rung=rung_of(degradations),
                    target=told.target if told else ComputeTarget.UNSPECIFIED,
                    provisional=not (_is_whole(seen) or check.dry_run),
                    second_look=look,
                )
            )
        return evidence


def _shadowed(
    check: Check, evidence: Evidence, shadows: Sequence[Policy]
) -> tuple[ShadowOutcome, ...]:
    cores = [
        decide(check.transaction, check.payload_hash, policy=shadow, evidence=evidence)
        for shadow in shadows
    ]
    return tuple(
        ShadowOutcome(shadow.version, core.outcome, core.rule_hits)
        for shadow, core in zip(shadows, cores, strict=True)
    )


def _is_whole(seen: Seen) -> bool:
    return isinstance(seen, Observation) and seen.applied is not Applied.PARTIAL


def _degradations(seen: Seen, scores: Scores | None) -> tuple[Degradation, ...]:
    degradations = (
        _of_history(seen)
        if isinstance(seen, Observation)
        else (Degradation(seen, "store"),)
    )
    if scores is None:
        missing = Degradation(DegradationCode.MODEL_UNAVAILABLE, "model")
        return (*degradations, missing)
    return degradations


def _of_amounts(
    catalogue: Catalogue, check: Check, held: UnknownAmounts
) -> tuple[Degradation, ...]:
    """Whose amount is unknown: the transaction's own, else one of its histories'."""
    t = check.transaction
    if catalogue.amount(t) is None:
        lacking = "amount_minor" if t.amount_minor is None else "currency"
        return (Degradation(DegradationCode.AMOUNT_UNKNOWN, lacking),)
    return tuple(
        Degradation(DegradationCode.HISTORY_AMOUNT_UNKNOWN, entity)
        for entity in held.entities
    )


def _inexact(seen: Seen, held: UnknownAmounts) -> tuple[str, ...]:
    if not isinstance(seen, Observation):
        return ()
    if held is ALL_KNOWN:
        return seen.inexact
    return tuple(sorted(held.features.union(seen.inexact)))


def _of_history(seen: Observation) -> tuple[Degradation, ...]:
    if seen.applied is not Applied.TOO_LATE:
        return seen.degradations
    return (*seen.degradations, Degradation(DegradationCode.TOO_LATE, "history"))
