"""From evidence to a decision: pure, total, the same bytes for the same inputs.

The order of authority: what rules and lists ask for (by priority, then the
strictest), what the policy says of what was missing, what the score says. Each can
make the outcome stricter; only an explicit `approve` makes it milder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from numpy.typing import NDArray

from scoring.core.decision.decision import (
    ComputeTarget,
    DecisionCore,
    Degradation,
    Outcome,
    Reason,
    ReasonSource,
    Rung,
    SecondLook,
    Velocity,
    Versions,
)
from scoring.core.fast_init import fast_init
from scoring.core.policy.policy import Cuts, Measure, Policy
from scoring.core.policy.rules.inputs import features_in
from scoring.core.policy.ruling import Ruling
from scoring.core.transaction.transaction import Transaction

Vector = NDArray[np.float32]
_NO_VERSIONS = Versions()
_APPROVE = Outcome.APPROVE


@fast_init
@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a decision rests on besides the transaction and the policy.

    `vector` (features,) float32 in the catalogue's order, NaN unknown; None where
    there is none. `margin` and `probability` are None where no model ran.
    `contributions` (groups,) log-odds, one for each of `reason_groups`. `inexact`
    names the features known only within their bound.
    """

    vector: Vector | None
    margin: float | None = None
    probability: float | None = None
    contributions: NDArray[np.float32] | None = None
    reason_groups: tuple[str, ...] = ()
    versions: Versions = _NO_VERSIONS
    degradations: tuple[Degradation, ...] = ()
    inexact: tuple[str, ...] = ()
    rung: Rung = Rung.FULL
    target: ComputeTarget = ComputeTarget.UNSPECIFIED
    provisional: bool = False
    second_look: SecondLook = SecondLook.UNSPECIFIED


def decide(
    transaction: Transaction,
    payload_hash: bytes,
    *,
    policy: Policy,
    evidence: Evidence,
) -> DecisionCore:
    """Decide one transaction; never raises for what is missing."""
    vector = evidence.vector
    row = [nan] * len(policy.features) if vector is None else vector.tolist()
    score = _known(evidence.probability)
    at_ms, asked = transaction.occurred_at_ms, nan if score is None else score
    masks = policy.program.evaluate(row, transaction, at_ms, asked)
    rollouts, quiet = policy.rollouts, 0
    if rollouts.mask:
        quiet = rollouts.quiet(masks[0] | masks[1], transaction)
    ruling = policy.ruling(*masks, quiet)
    measures: tuple[Measure, ...] = ()
    if evidence.degradations or score is None:
        measures = _measures(transaction, policy, evidence.degradations, score)
    outcome = _outcome(transaction, policy, ruling, measures, score)
    reasons = ruling.reasons
    if reasons:
        reasons = _with_velocity(transaction, policy, evidence, ruling, row)
    if not reasons or ruling.outcome is not _APPROVE:
        reasons = (*reasons, *_further_reasons(policy, evidence, measures, row))
    rung = evidence.rung
    if rung is Rung.RULES_ONLY and not ruling.outcome:
        rung = Rung.DEFAULT  # nor did a rule or a list have anything to say
    return DecisionCore(
        transaction.tenant,
        transaction.id,
        payload_hash,
        outcome,
        score,
        _known(evidence.margin),
        reasons or (policy.approved if outcome is _APPROVE else policy.reasons.score,),
        ruling.hits,
        evidence.degradations,
        evidence.provisional,
        rung,
        evidence.versions,
        b"" if vector is None else vector.astype("<f4", copy=False).tobytes(),
        evidence.inexact,
        evidence.target,
        evidence.second_look,
        policy.arm,
    )


def _known(number: float | None) -> float | None:
    """None for a number that is not one."""
    return None if number is None or number != number else number  # noqa: PLR0124


def _measures(
    transaction: Transaction,
    policy: Policy,
    degradations: tuple[Degradation, ...],
    score: float | None,
) -> tuple[Measure, ...]:
    """What the policy says of what is missing: outcomes only, in order."""
    found = []
    for degradation in degradations:
        by_segment = policy.measures.get(degradation.code)
        if by_segment is not None:
            measure = by_segment.resolve(transaction)
            if measure.outcome and measure not in found:
                found.append(measure)
    if score is None and not found:
        found.append(policy.default)
    return tuple(found)


def _outcome(
    transaction: Transaction,
    policy: Policy,
    ruling: Ruling,
    measures: tuple[Measure, ...],
    score: float | None,
) -> Outcome:
    ruled, asked = ruling.outcome, None
    if score is not None and ruled is not _APPROVE:
        asked = asked_by_score(score, policy.cuts.resolve(transaction))
        if not measures:  # nearly always: what `settled` says of none
            return ruled if ruled > asked else asked  # noqa: FURB136 - no call
    return settled(ruled, [measure.outcome for measure in measures], asked)


def asked_by_score(score: float, cuts: Cuts) -> Outcome:
    """What a score asks for by itself.

    >>> asked_by_score(0.3, (0.1, 0.2, 0.5)).name
    'REVIEW'
    """
    challenge, review, decline = cuts
    if score >= decline:
        return Outcome.DECLINE
    if score >= review:
        return Outcome.REVIEW
    return Outcome.CHALLENGE if score >= challenge else _APPROVE


def settled(
    ruled: Outcome, measures: Sequence[Outcome], asked: Outcome | None
) -> Outcome:
    """The outcome: by rules and lists, by what was missing, by the score (None: none).

    >>> settled(Outcome.CHALLENGE, [], Outcome.DECLINE).name
    'DECLINE'
    >>> settled(Outcome.UNSPECIFIED, [Outcome.APPROVE], Outcome.DECLINE).name
    'APPROVE'
    """
    if ruled is _APPROVE:
        return _APPROVE
    strictest = max(ruled, *measures) if measures else ruled
    # A fallback that approves accepts the transaction without asking the score.
    accepted = bool(measures) and max(measures) is _APPROVE
    if asked is None or accepted:
        return strictest or _APPROVE
    return max(strictest, asked)


def _further_reasons(
    policy: Policy,
    evidence: Evidence,
    measures: tuple[Measure, ...],
    row: list[float],
) -> list[Reason]:
    """Beyond what rules and lists ask for: what was missing, then the model's."""
    reasons = [measure.reason for measure in measures if measure.reason is not None]
    if evidence.contributions is not None:
        reasons += _model_reasons(policy, evidence, row)
    return reasons


def _with_velocity(
    transaction: Transaction,
    policy: Policy,
    evidence: Evidence,
    ruling: Ruling,
    row: list[float],
) -> tuple[Reason, ...]:
    """Add what was observed and the limit, where a velocity made a rule hold."""
    score = _known(evidence.probability)
    reasons = []
    for clause, reason in zip(ruling.clauses, ruling.reasons, strict=True):
        seen = clause >= 0 and policy.program.witness[clause](
            row,
            transaction,
            transaction.occurred_at_ms,
            nan if score is None else score,
        )
        if not seen:
            reasons.append(reason)
            continue
        feature, observed, limit = seen
        velocity = Velocity(
            feature, observed, float(limit), exact=feature not in evidence.inexact
        )
        reasons.append(replace(reason, velocity=velocity))
    return tuple(reasons)


def _model_reasons(
    policy: Policy, evidence: Evidence, row: list[float]
) -> list[Reason]:
    """The feature groups that raised the score most, largest first.

    A group whose values support its reason has that one, any other its neutral one.
    Where all that the policy asks for are neutral, the next that is not follows.
    """
    assert evidence.contributions is not None
    contributions = evidence.contributions.tolist()
    raising = [i for i, contribution in enumerate(contributions) if contribution > 0]
    raising.sort(key=contributions.__getitem__, reverse=True)  # equals stay in order
    most, told = policy.model_reasons_max, False
    reasons: list[Reason] = []
    for i in raising:
        group = policy.reasons.of(evidence.reason_groups[i])
        supported = group.holds(row)
        if supported or len(reasons) < most:
            code, wording = group.specific if supported else group.neutral
            reasons.append(Reason(code, wording, ReasonSource.MODEL, contributions[i]))
        told = told or supported
        if told and len(reasons) >= most:
            break
    return reasons


def velocity_features(core: DecisionCore, policy: Policy) -> tuple[str, ...]:
    """The features that the rules behind the velocity reasons read, in order."""
    codes = {reason.code for reason in core.reasons if reason.velocity}
    hit = {hit.rule for hit in core.rule_hits if not hit.unknown}
    read = (
        name
        for rule in policy.file.rules
        if rule.reason_code in codes and rule.id in hit
        for name in features_in(rule.when)
    )
    return tuple(dict.fromkeys(read))


def clears_at(
    core: DecisionCore,
    transaction: Transaction,
    policy: Policy,
    instants: Sequence[int],
    rows: NDArray[np.float32],
) -> DecisionCore:
    """Tell, for each velocity reason, when its rule stops holding.

    `rows` (instants, features) are the vectors that the same payload would have at
    each of the later `instants` (ms, ascending) if nothing else is attempted. The
    rule's own predicate is evaluated at them in order; the first at which it does
    not hold is the answer, and none is given where it holds at all of them.
    """
    if not any(reason.velocity for reason in core.reasons):
        return core
    score = nan if core.score is None else core.score
    hit = [hit.rule for hit in core.rule_hits if not hit.unknown]
    masks = [
        policy.program.evaluate(row, transaction, at_ms, score)[0]
        for at_ms, row in zip(instants, rows.tolist(), strict=True)
    ]

    def told(reason: Reason) -> Reason:
        if reason.velocity is None:
            return reason
        held = sum(
            1 << i
            for i, ask in enumerate(policy.asks)
            if ask.code == reason.code and ask.name in hit
        )
        clear = (
            at for at, mask in zip(instants, masks, strict=True) if not mask & held
        )
        velocity = replace(reason.velocity, clears_at_ms=next(clear, None))
        return replace(reason, velocity=velocity)

    return replace(core, reasons=tuple(told(reason) for reason in core.reasons))
