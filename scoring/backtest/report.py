"""Reports on a policy: its rules, its segments, the schemes' yardsticks, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scoring.backtest.costs import CostFile
from scoring.backtest.formulas import COST_FORMULAS, FORMULAS
from scoring.backtest.intervals import wilson
from scoring.backtest.let_through import (
    PRECISION_FORMULA,
    REALISED_FORMULA,
    SampleFigures,
)
from scoring.backtest.result import BacktestResult, RuleFigures, SegmentFigures
from scoring.backtest.yardsticks import (
    DISPUTES_FORMULA,
    SCA_BANDS,
    SCA_FORMULA,
    SCA_SOURCE,
    Yardsticks,
)
from scoring.core.decision.decision import Outcome
from scoring.core.policy.policy import Policy
from scoring.core.policy.sample_figures import Estimate
from scoring.replay.slices import GENUINE, PaymentClass, Slice, sum_of

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Beside:
    """What a report has beside the backtest's figures; None where it is not known."""

    yardsticks: Yardsticks | None = None
    sample: SampleFigures | None = None
    costs: CostFile | None = None


_NOTHING = Beside()


def report_json(
    found: BacktestResult, policy: Policy, beside: Beside = _NOTHING
) -> dict[str, Any]:
    """The reports for a program; shares from 0 to 1, amounts in minor units.

    Raises `BadArtifact` for costs of a segment that the policy has not.
    """
    costs, sample, yardsticks = beside.costs, beside.sample, beside.yardsticks
    if costs is not None:
        costs.refuse_unknown([segment.segment for segment in found.segments])
    return {
        "version": found.new.version,
        "reference_currency": found.currency,
        "eligible": found.eligible,
        "skipped": dict(found.skipped),
        "newest_label_ms": found.span.newest_label_ms,
        "newest_label_age_days": found.span.newest_label_days,
        "formulas": {**FORMULAS, **(COST_FORMULAS if costs else {})},
        "rules": [
            rule_json(line, found, policy) | {"cost": costs and _rule_cost(line, costs)}
            for line in found.rules
        ],
        "segments": [
            _segment_json(one) | {"cost": costs and _segment_cost(one, costs)}
            for one in found.segments
        ],
        "yardsticks": None if yardsticks is None else _yardsticks_json(yardsticks),
        "let_through": None if sample is None else _sample_json(sample),
    }


def rule_json(
    line: RuleFigures, found: BacktestResult, policy: Policy
) -> dict[str, Any]:
    """One rule: hits, precision and recall with intervals, cost, last hit, age."""
    frauds = line.hits.of(PaymentClass.FRAUD).weight
    judged = frauds + line.hits.of(*GENUINE).weight
    every = found.new.at_least(Outcome.APPROVE).of(PaymentClass.FRAUD).weight
    false = line.declined.of(*GENUINE)
    acting = line.hits.count - line.quiet.count if line.mode == "enforce" else 0
    return {
        "rule": line.rule,
        "mode": line.mode,
        "asks": line.asks,
        "owner": line.owner,
        "age_days": _age_days(line.rule, policy, found.span.until_ms),
        "last_hit_ms": line.last_hit_ms,
        "hits": acting,
        "shadow_hits": line.hits.count - acting,
        "declined_minor": line.declined.all.reference_minor,
        "precision": frauds / judged if judged else None,
        "precision_interval": wilson(frauds, judged),
        "recall": frauds / every if every else None,
        "recall_interval": wilson(frauds, every),
        "false_refusals": false.count,
        "false_refusals_minor": false.reference_minor,
        "alone": line.alone.count,
        "overlaps": dict(line.overlaps),
    }


def _rule_cost(line: RuleFigures, costs: CostFile) -> dict[str, int]:
    """What the payments cost that it declines, by their segments; minor units."""
    parts = [(costs.of(name), part) for name, part in line.declined_in.items()]
    return {
        "refused_customers_minor": round(
            sum(
                own.refused_customer.of(*_weighed(part, *GENUINE))
                for own, part in parts
            )
        ),
        "fraud_stopped_minor": round(
            sum(
                own.missed_fraud.of(*_weighed(part, PaymentClass.FRAUD))
                for own, part in parts
            )
        ),
    }


def _segment_cost(segment: SegmentFigures, costs: CostFile) -> dict[str, int]:
    """What the outcomes of a segment cost; minor units."""
    own = costs.of(segment.segment)
    by_outcome = {
        outcome: own.of(
            outcome, _weighed(part, PaymentClass.FRAUD), _weighed(part, *GENUINE)
        )
        for outcome, part in segment.outcomes.items()
    }
    held = by_outcome[Outcome.CHALLENGE] + by_outcome[Outcome.REVIEW]
    return {
        "missed_fraud_minor": round(by_outcome[Outcome.APPROVE]),
        "refused_customers_minor": round(by_outcome[Outcome.DECLINE]),
        "held_minor": round(held),
        "total_minor": round(sum(by_outcome.values())),
    }


def _weighed(part: Slice, *classes: PaymentClass) -> tuple[float, float]:
    known = part.of(*classes)
    return known.weight, known.weighted_minor


def _age_days(rule: str, policy: Policy, until_ms: int) -> float | None:
    """The days since it starts, where its file says that."""
    starts = next((r.starts for r in policy.file.rules if r.id == rule), None)
    if starts is None:
        return None
    return round((until_ms / 1_000 - starts.timestamp()) / _DAY_S, 1)


def _segment_json(segment: SegmentFigures) -> dict[str, Any]:
    every = sum_of(segment.outcomes.values())
    approved = segment.outcomes[Outcome.APPROVE]
    known = approved.of(PaymentClass.FRAUD, *GENUINE)
    fraud = approved.of(PaymentClass.FRAUD)
    value = (
        fraud.weighted_minor / known.weighted_minor if known.weighted_minor else None
    )
    return {
        "segment": segment.segment,
        "payments": every.count,
        "approval_rate": approved.count / every.count if every.count else None,
        "approval_rate_interval": wilson(approved.count, every.count),
        "fraud_rate_by_count": fraud.weight / known.weight if known.weight else None,
        "fraud_rate_by_count_interval": wilson(fraud.weight, known.weight),
        "fraud_rate_by_value": value,
    }


def _yardsticks_json(found: Yardsticks) -> dict[str, Any]:
    remote = found.remote
    return {
        "remote_fraud": {
            "formula": SCA_FORMULA,
            "source": SCA_SOURCE,
            "bands_bps": {str(eur): bps for eur, bps in SCA_BANDS},
            "amount_minor": remote.amount_minor,
            "fraud_minor": remote.fraud_minor,
            "rate_bps": remote.rate_bps,
            "exempt_up_to_eur": remote.exempt_up_to_eur,
        },
        "disputes": {
            "formula": DISPUTES_FORMULA,
            "merchants": [
                {name: getattr(one, name) for name in one.__slots__}
                | {"ratio": one.ratio}
                for one in found.merchants
            ],
        },
    }


def _sample_json(found: SampleFigures) -> dict[str, Any]:
    return {
        "set_share": found.share,
        "eligible": found.eligible,
        "let_through": found.let_through,
        "realised_share": _estimate_json(found.realised, REALISED_FORMULA),
        "precision_of_declines": _estimate_json(found.precision, PRECISION_FORMULA),
    }


def _estimate_json(found: Estimate | None, formula: str) -> dict[str, Any]:
    return {
        "formula": formula,
        "count": found.count if found else 0,
        "share": found.share if found else None,
        "interval": (found.low, found.high) if found else None,
    }
