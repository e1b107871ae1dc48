"""The figures of a kept backtest, its JSON, as tables for a person."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scoring.replay.sheet import Sheet

Figures = dict[str, Any]


def figures_sheets(figures: Figures) -> list[Sheet]:
    """The tables: classes, flips, rules."""
    sheets = [_classes(figures), _flips(figures), _rules(figures)]
    return [sheet for sheet in sheets if sheet.rows]


def figures_remarks(figures: Figures) -> list[str]:
    """What a reader must know beside the tables."""
    from scoring.backtest.managed import list_line

    span, more = figures["span"], figures["newly_declined"]
    days = f"{_day(span['from_ms'])} to {_day(span['until_ms'] - 1)}"
    tenant = f", of tenant {span['tenant']}" if span["tenant"] else ""
    declined = f"{more['share_by_count']:.2%} of payments, "
    declined += f"{more['share_by_amount']:.2%} of the amount"
    lines = [
        f"{figures['eligible']:,} payments{tenant}, {days}",
        f"declined of what the old version does not decline: {declined}",
        f"not yet labelled: {figures['not_yet_labelled_share']:.1%}",
    ]
    lines += [f"skipped, {cause}: {n:,}" for cause, n in figures["skipped"].items()]
    lines += [list_line(told) for told in figures["lists"]]
    return lines + [f"taken for granted: {told}" for told in figures["assumes"]]


def _classes(figures: Figures) -> Sheet:
    from scoring.backtest.page import CLASSES
    from scoring.replay.sheet import Sheet, money

    old, new = figures["old"]["classes"], figures["new"]["classes"]
    rows = tuple(
        (
            words,
            f"{old[name]['count']:,}",
            f"{new[name]['count']:,}",
            f"{new[name]['count'] - old[name]['count']:+,}",
            money(old[name]["amounts_minor"]),
            money(new[name]["amounts_minor"]),
        )
        for name, words in CLASSES.items()
    )
    columns = ("what became of the payments", "old", "new", "difference")
    return Sheet("By class", (*columns, "old amount", "new amount"), rows)


def _flips(figures: Figures) -> Sheet:
    from scoring.replay.sheet import Sheet

    rows = tuple(
        (
            flip,
            f"{part['count']:,}",
            ", ".join(f"{one['tenant']}/{one['id']}" for one in part["sample"][:5]),
        )
        for flip, part in figures["flips"]["outcomes"].items()
    )
    return Sheet("Flips", ("flip", "payments", "some of them"), rows)


def _rules(figures: Figures) -> Sheet:
    from scoring.replay.sheet import Sheet, percent

    rows = tuple(
        (
            rule["rule"],
            rule["mode"],
            rule["asks"],
            f"{rule['hits']['count']:,}",
            f"{rule['quiet']['count']:,}",
            percent(rule["hits"]["precision"]),
            f"{rule['alone']['count']:,}",
            f"{rule['unknown']:,}",
        )
        for rule in figures["rules"]
    )
    columns = ("rule", "mode", "asks for", "hits", "outside its share", "precision")
    return Sheet("Rules of the new version", (*columns, "alone", "unknown"), rows)


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(max(at_ms, 0) / 1_000, UTC).date().isoformat()
