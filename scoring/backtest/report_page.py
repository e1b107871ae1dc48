"""A policy's reports as tables: for a person, and for a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from scoring.replay.sheet import Sheet, money, percent, sure

_MERCHANTS = 20  # shown: those with the highest ratios
Record = dict[str, Any]


def report_tables(written: Record) -> dict[str, list[Record]]:
    """Each table of what `report_json` says, by its name, for `core.csv_text`.

    Numbers are as there: shares from 0 to 1, amounts in minor units.
    """
    tables = {
        "rules": [_with_text(one) for one in written["rules"]],
        "segments": written["segments"],
        "formulas": [
            {"figure": name, "formula": formula}
            for name, formula in written["formulas"].items()
        ],
    }
    beside, sample = written["yardsticks"], written["let_through"]
    if beside is not None:
        remote = beside["remote_fraud"]
        tables["remote-fraud"] = [
            {"band_eur": eur, "band_bps": bps}
            | {name: one for name, one in remote.items() if name != "bands_bps"}
            for eur, bps in remote["bands_bps"].items()
        ]
        formula = {"formula": beside["disputes"]["formula"]}
        tables["disputes"] = [one | formula for one in beside["disputes"]["merchants"]]
    if sample is not None:
        tables["let-through"] = [sample]
    return tables


def _with_text(rule: Record) -> Record:
    """A rule whose overlaps are one cell, and its last hit a date."""
    overlaps = ", ".join(f"{name} {n}" for name, n in rule["overlaps"].items())
    return rule | {"overlaps": overlaps, "last_hit": _day(rule["last_hit_ms"])}


def report_sheets(written: dict[str, Any]) -> list[Sheet]:
    """The reports as tables, from what `report_json` says."""
    currency = written["reference_currency"]
    sheets = [*_rules(written["rules"], currency), _segments(written["segments"])]
    sheets += _costs(written, currency)
    if written["yardsticks"]:
        sheets += _yardsticks(written["yardsticks"], currency)
    if written["let_through"]:
        sheets += _sample(written["let_through"])
    return [sheet for sheet in sheets if sheet.rows]


def report_remarks(written: Record) -> list[str]:
    """What a reader must know beside the tables."""
    lines = [
        f"version {written['version']}",
        f"{written['eligible']:,} payments; skipped: {written['skipped'] or 'none'}",
        "no label is known yet"
        if written["newest_label_ms"] is None
        else f"newest label: {_day(written['newest_label_ms'])}, "
        f"{written['newest_label_age_days']:g} days before the newest record",
    ]
    return lines + [f"{name}: {told}" for name, told in written["formulas"].items()]


def _rules(rules: list[Record], currency: str) -> list[Sheet]:
    figures = tuple(
        (
            one["rule"],
            one["mode"],
            _hits(one),
            money({currency: one["declined_minor"]}),
            sure(one["precision"], one["precision_interval"]),
            sure(one["recall"], one["recall_interval"]),
            f"{one['false_refusals']:,}",
            money({currency: one["false_refusals_minor"]}),
        )
        for one in rules
    )
    beside = tuple(
        (
            one["rule"],
            f"{one['alone']:,}",
            _mostly_with(one["overlaps"]),
            _day(one["last_hit_ms"]),
            one["owner"],
            "–" if one["age_days"] is None else f"{one['age_days']:g} d",
        )
        for one in rules
    )
    columns = ("rule", "mode", "hits", "declined", "precision", "recall")
    wrong = ("legitimate refused", "their amount")
    others = ("rule", "by it alone", "mostly with", "last hit", "owner", "age")
    return [
        Sheet("Rules", (*columns, *wrong), figures),
        Sheet("Rules beside one another", others, beside),
    ]


def _mostly_with(overlaps: Mapping[str, int]) -> str:
    most = next(iter(overlaps.items()), None)
    return f"{most[0]} ({most[1]:,})" if most else ""


def _costs(written: Record, currency: str) -> list[Sheet]:
    """What the file's costs come to; none where no file was named."""

    def paid(one: Record, name: str) -> str:
        return money({currency: one["cost"][f"{name}_minor"]})

    rules = tuple(
        (one["rule"], paid(one, "refused_customers"), paid(one, "fraud_stopped"))
        for one in written["rules"]
        if one["cost"]
    )
    parts = ("missed_fraud", "refused_customers", "held", "total")
    segments = tuple(
        (one["segment"], *(paid(one, part) for part in parts))
        for one in written["segments"]
        if one["cost"] and one["payments"]
    )
    return [
        Sheet("Costs by rule", ("rule", "refused customers", "fraud stopped"), rules),
        Sheet(
            "Costs by segment",
            ("segment", "missed fraud", "refused customers", "held", "all"),
            segments,
        ),
    ]


def _segments(segments: list[dict[str, Any]]) -> Sheet:
    rows = tuple(
        (
            one["segment"],
            f"{one['payments']:,}",
            sure(one["approval_rate"], one["approval_rate_interval"]),
            _sure_bps(one["fraud_rate_by_count"], one["fraud_rate_by_count_interval"]),
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
            f"Remote payments: {remote['formula']} ({remote['source']})",
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
                    sure(realised["share"], realised["interval"], digits=2),
                ),
            ),
        ),
        Sheet(
            f"Let-through sample: {precision['formula']}",
            ("old enough to be labelled", "precision of the declines"),
            (
                (
                    f"{precision['count']:,}",
                    sure(precision["share"], precision["interval"]),
                ),
            ),
        ),
    ]


def _hits(one: dict[str, Any]) -> str:
    if not one["shadow_hits"]:
        return f"{one['hits']:,}"
    return f"{one['hits']:,}, shadow {one['shadow_hits']:,}"


def _sure_bps(share: float | None, interval: tuple[float, float] | None) -> str:
    if share is None or interval is None:
        return "–"
    low, high = map(_bps, interval)
    return f"{_bps(share)} ({low}–{high})"


def _bps(share: float | None) -> str:
    return "–" if share is None else f"{share * 10_000:.1f}"


def _day(at_ms: int | None) -> str:
    if at_ms is None:
        return "never"
    return datetime.fromtimestamp(at_ms / 1_000, UTC).date().isoformat()
