"""Reports on a policy: its rules, its segments, the schemes' yardsticks, as tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

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
    Yardsticks,
)
from scoring.core.decision.decision import Outcome
from scoring.core.policy.policy import Policy
from scoring.core.policy.sample_figures import Estimate
from scoring.replay.sheet import Sheet, money, percent
from scoring.replay.slices import GENUINE, PaymentClass, sum_of

_DAY_S = 86_400
_MERCHANTS = 20  # shown: those with the highest ratios


def report_json(
    found: BacktestResult,
    policy: Policy,
    beside: Yardsticks | None,
    sample: SampleFigures | None = None,
) -> dict[str, Any]:
    """The reports for a program; shares from 0 to 1, amounts in minor units."""
    return {
        "version": found.new.version,
        "reference_currency": found.currency,
        "eligible": found.eligible,
        "skipped": dict(found.skipped),
        "rules": [rule_json(line, found, policy) for line in found.rules],
        "segments": [_segment_json(segment) for segment in found.segments],
        "yardsticks": None if beside is None else _yardsticks_json(beside),
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
        "fraud_rate_by_count": fraud.weight / known.weight if known.weight else None,
        "fraud_rate_by_count_interval": wilson(fraud.weight, known.weight),
        "fraud_rate_by_value": value,
    }


def _yardsticks_json(found: Yardsticks) -> dict[str, Any]:
    remote = found.remote
    return {
        "remote_fraud": {
            "formula": SCA_FORMULA,
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


def report_sheets(written: dict[str, Any]) -> list[Sheet]:
    """The reports as tables, from what `report_json` says."""
    currency = written["reference_currency"]
    sheets = [_rules(written["rules"], currency), _segments(written["segments"])]
    if written["yardsticks"]:
        sheets += _yardsticks(written["yardsticks"], currency)
    if written["let_through"]:
        sheets += _sample(written["let_through"])
    return [sheet for sheet in sheets if sheet.rows]


def _rules(rules: list[dict[str, Any]], currency: str) -> Sheet:
    rows = tuple(
        (
            one["rule"],
            one["mode"],
            _hits(one),
            money({currency: one["declined_minor"]}),
            _sure(one["precision"], one["precision_interval"]),
            _sure(one["recall"], one["recall_interval"]),
            f"{one['false_refusals']:,}",
            money({currency: one["false_refusals_minor"]}),
            _day(one["last_hit_ms"]),
            one["owner"],
            "–" if one["age_days"] is None else f"{one['age_days']:g} d",
        )
        for one in rules
    )
    columns = (
        *("rule", "mode", "hits", "declined", "precision", "recall"),
        *("legitimate refused", "their amount", "last hit", "owner", "age"),
    )
    return Sheet("Rules", columns, rows)


def _segments(segments: list[dict[str, Any]]) -> Sheet:
    rows = tuple(
        (
            one["segment"],
            f"{one['payments']:,}",
            percent(one["approval_rate"]),
            _bps(one["fraud_rate_by_count"]),
            _bps(one["fraud_rate_by_value"]),
        )
        for one in segments
        if one["payments"]
    )
    columns = (
        *("segment", "payments", "approved", "fraud by count, bps"),
        "fraud by value, bps",
    )
    return Sheet("Segments", columns, rows)


def _yardsticks(found: dict[str, Any], currency: str) -> list[Sheet]:
    remote, disputes = found["remote_fraud"], found["disputes"]
    bands = tuple(
        (
            f"up to {eur} EUR: {bps:g} bps",
            money({currency: remote["fraud_minor"]}),
            money({currency: remote["amount_minor"]}),
            _bps(None if remote["rate_bps"] is None else remote["rate_bps"] / 10_000),
            "–" if remote["rate_bps"] is None
            else "within" if remote["rate_bps"] <= bps else "above",
        )
        for eur, bps in remote["bands_bps"].items()
    )  # fmt: skip
    merchants = tuple(
        (
            one["merchant"],
            one["tenant"],
            one["month"],
            f"{one['accepted']:,}",
            f"{one['early_warnings']:,}",
            f"{one['chargebacks']:,}",
            percent(one["ratio"]),
        )
        for one in disputes["merchants"][:_MERCHANTS]
    )
    return [
        Sheet(
            f"Remote payments: {remote['formula']}",
            ("band", "fraud", "all", "rate, bps", "is"),
            bands,
        ),
        Sheet(
            f"Merchants: {disputes['formula']}",
            (
                *("merchant", "tenant", "month", "accepted", "early warnings"),
                *("chargebacks", "ratio"),
            ),
            merchants,
        ),
    ]


def _sample(found: dict[str, Any]) -> list[Sheet]:
    realised, precision = found["realised_share"], found["precision_of_declines"]
    return [
        Sheet(
            f"Let-through sample: {realised['formula']}",
            ("share as set", "eligible payments", "let through", "realised share"),
            (
                (
                    percent(found["set_share"]),
                    f"{found['eligible']:,}",
                    f"{found['let_through']:,}",
                    _sure(realised["share"], realised["interval"], digits=2),
                ),
            ),
        ),
        Sheet(
            f"Let-through sample: {precision['formula']}",
            ("old enough to be labelled", "precision of the declines"),
            (
                (
                    f"{precision['count']:,}",
                    _sure(precision["share"], precision["interval"]),
                ),
            ),
        ),
    ]


def _hits(one: dict[str, Any]) -> str:
    if not one["shadow_hits"]:
        return f"{one['hits']:,}"
    return f"{one['hits']:,}, shadow {one['shadow_hits']:,}"


def _sure(
    share: float | None, interval: tuple[float, float] | None, *, digits: int = 1
) -> str:
    if share is None or interval is None:
        return "–"
    of, low, high = (f"{edge:.{digits}%}" for edge in (share, *interval))
    return f"{of} ({low}–{high})"


def _bps(share: float | None) -> str:
    return "–" if share is None else f"{share * 10_000:.1f}"


def _day(at_ms: int | None) -> str:
    if at_ms is None:
        return "never"
    return datetime.fromtimestamp(at_ms / 1_000, UTC).date().isoformat()
