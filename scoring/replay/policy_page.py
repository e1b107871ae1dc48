"""A policy report as tables, and as JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scoring.replay.policy_report import PolicyReport, RuleLine
from scoring.replay.sheet import Sheet, markdown, money, number, percent, share
from scoring.replay.slices import Slice

_FIGURES = (
    *("count", "frauds", "legitimate", "amounts", "fraud_amounts"),
    *("legitimate_amounts", "precision", "false_positives_per_fraud"),
)
_AT_LEAST = {
    "CHALLENGE": "challenged or stricter",
    "REVIEW": "reviewed or stricter",
    "DECLINE": "declined",
}


def policy_sheets(report: PolicyReport) -> list[Sheet]:
    """The tables of a policy report."""
    sheets = [_outcomes(report)]
    if report.labelled:
        sheets.append(_stopped(report))
    sheets += [_rules(report), _reasons(report)]
    if report.degradations:
        rows = tuple((code, f"{n:,}") for code, n in report.degradations.items())
        sheets.append(Sheet("Degradations", ("what was missing", "decisions"), rows))
    return [sheet for sheet in sheets if sheet.rows]


def _outcomes(report: PolicyReport) -> Sheet:
    parts = [*report.outcomes.items(), ("all", report.all)]
    rows = tuple(
        (
            name.lower(),
            f"{part.count:,}",
            share(part.count, report.all.count),
            f"{part.frauds:,}",
            f"{part.count - part.frauds - part.legitimate:,}",
            money(part.amounts),
            money(part.fraud_amounts),
        )
        for name, part in parts
    )
    columns = (
        *("outcome", "payments", "share", "frauds", "without a label"),
        *("amount", "fraud amount"),
    )
    return Sheet("Outcomes", columns, rows)


def _stopped(report: PolicyReport) -> Sheet:
    rows = tuple(
        (
            _AT_LEAST[name],
            f"{part.count:,}",
            f"{part.frauds:,}",
            share(part.frauds, report.all.frauds),
            percent(part.precision),
            number(part.false_positives_per_fraud),
            money(part.fraud_amounts),
            money(part.legitimate_amounts),
        )
        for name, part in report.stopped.items()
    )
    columns = (
        *("stopped", "payments", "frauds caught", "of all frauds", "precision"),
        *("false positives per fraud", "fraud amount caught"),
        "legitimate amount refused",
    )
    return Sheet("Fraud caught", columns, rows)


def _rules(report: PolicyReport) -> Sheet:
    columns = (
        *("rule", "mode", "asks for", "hits", "frauds", "precision"),
        *("false positives per fraud", "amount", "asked for more", "unknown"),
    )
    return Sheet("Rules", columns, tuple(map(_rule, report.rules)))


def _rule(line: RuleLine) -> tuple[str, ...]:
    return (
        line.rule,
        line.mode,
        line.outcome.lower(),
        f"{line.hits.count:,}",
        f"{line.hits.frauds:,}",
        percent(line.hits.precision),
        number(line.hits.false_positives_per_fraud),
        money(line.hits.amounts),
        f"{line.stricter.count:,} ({line.stricter.frauds:,} frauds)",
        f"{line.unknown:,}",
    )


def _reasons(report: PolicyReport) -> Sheet:
    rows = tuple(
        (code, f"{part.count:,}", f"{part.frauds:,}", percent(part.precision))
        for code, part in report.reasons.items()
    )
    title = "First reasons of what was not approved"
    return Sheet(title, ("reason", "payments", "frauds", "precision"), rows)


def policy_json(report: PolicyReport) -> str:
    """The report with its ratios, for a program; amounts are minor units."""
    return json.dumps(_plain(report), indent=1) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Slice):
        return {name: getattr(value, name) for name in _FIGURES}
    if isinstance(value, PolicyReport | RuleLine):
        return {name: _plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def write_policy_report(report: PolicyReport, decisions: Path) -> Path:
    """Write DECISIONS.report.json and .report.md; returns the latter."""
    page = decisions.with_suffix(".report.md")
    decisions.with_suffix(".report.json").write_text(policy_json(report), "utf-8")
    made_by = (
        f"Decisions: `{decisions.name}`. Policy: {_listed(report.policies)}. "
        f"Model: {_listed(report.models)}."
    )
    text = markdown("Policy report", policy_sheets(report), [made_by])
    page.write_text(text, "utf-8")
    return page


def _listed(versions: Sequence[str]) -> str:
    return ", ".join(versions) or "not recorded"
