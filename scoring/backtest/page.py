"""A backtest as tables for a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from scoring.backtest.managed import list_line
from scoring.backtest.result import BacktestResult, RuleFigures, precision_interval
from scoring.backtest.source import DAY_MS
from scoring.core.decision.decision import Outcome
from scoring.replay.flips import flip_sheets
from scoring.replay.sheet import Sheet, money, percent, share, sure
from scoring.replay.slices import GENUINE, PaymentClass, PaymentSum

# The classes in words, in order; see `SideFigures.classes`.
CLASSES: Mapping[str, str] = {
    "fraud_caught": "fraud caught (not approved)",
    "fraud_declined": "  of which declined",
    "fraud_missed": "fraud missed (approved)",
    "refunded_declined": "refunded, declined",
    "refunded_others": "refunded, not declined",
    "legitimate_refused": "legitimate refused (declined)",
    "legitimate_held": "legitimate challenged or reviewed",
    "legitimate_approved": "legitimate approved",
    "declined_by_us": "declined by us then: no label, nothing saved",
    "not_yet_labelled": "not yet labelled",
    "unknown": "nothing known",
}


def backtest_sheets(found: BacktestResult) -> list[Sheet]:
    """The tables of a backtest: classes, outcomes, flips, rules."""
    flips = [
        Sheet(sheet.title, sheet.columns, sheet.rows)
        for sheet in flip_sheets(found.flips)
    ]
    sheets = [_classes(found), _outcomes(found), *flips, _samples(found), _rules(found)]
    return [sheet for sheet in sheets if sheet.rows]


def remarks(found: BacktestResult) -> list[str]:
    """What a reader must know beside the tables."""
    by_count, by_amount = found.accepted_then_declined
    span = found.span
    days = f"{_day(span.from_ms)} to {_day(span.until_ms - 1)}"
    usual = "no label says fraud, so that none is taken as known"
    if span.delay_ms is not None:
        usual = f"labels usually take {span.delay_ms / DAY_MS:g} days"
    more = f"{by_count:.2%} of payments, {by_amount:.2%} of the amount"
    lines = [
        f"{found.eligible:,} payments, {days}",
        f"old version {found.old.version}, new version {found.new.version}",
        f"declined of what the old version does not decline: {more}",
        f"not yet labelled: {percent(found.unlabelled_share)}; {usual}",
    ]
    if span.newest_label_days is not None:
        lines.append(
            f"newest label: {_day(span.newest_label_ms or 0)}, "
            f"{span.newest_label_days:g} days before the newest record"
        )
    lines += [f"skipped, {cause}: {n:,}" for cause, n in found.skipped.items()]
    lines += [list_line(told) for told in found.lists]
    lines += [f"taken for granted: {told}" for told in found.assumes]
    if found.decided_by_old:
        lines.append(
            f"decided by the old version itself: {found.decided_by_old:,}, of which "
            f"{found.differing:,} were recorded with another outcome"
        )
    return lines


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(max(at_ms, 0) / 1_000, UTC).date().isoformat()


def _classes(found: BacktestResult) -> Sheet:
    old, new = found.old.classes, found.new.classes
    rows = tuple(
        (
            words,
            f"{old[name].count:,}",
            f"{new[name].count:,}",
            f"{new[name].count - old[name].count:+,}",
            money(old[name].amounts),
            money(new[name].amounts),
            _reference(new[name], found.currency),
        )
        for name, words in CLASSES.items()
    )
    columns = (
        *("what became of the payments", "old", "new", "difference", "old amount"),
        *("new amount", "new amount, converted"),
    )
    return Sheet("By class", columns, rows)


def _reference(tally: PaymentSum, currency: str) -> str:
    return money({currency: tally.reference_minor} if tally.reference_minor else {})


def _outcomes(found: BacktestResult) -> Sheet:
    rows = []
    for outcome in (o for o in Outcome if o):
        old, new = found.old.outcomes[outcome], found.new.outcomes[outcome]
        rows.append(
            (
                outcome.name.lower(),
                f"{old.count:,}",
                share(old.count, found.eligible),
                f"{new.count:,}",
                share(new.count, found.eligible),
                sure(new.precision, precision_interval(new)),
            )
        )
    columns = ("outcome", "old", "share", "new", "share", "precision, new")
    return Sheet("Outcomes", columns, tuple(rows))


def _samples(found: BacktestResult) -> Sheet:
    rows = tuple(
        (flip, ", ".join(f"{tenant}/{id_}" for tenant, id_ in own[:5]))
        for flip, own in found.samples.items()
    )
    return Sheet("Some payments that flip", ("flip", "tenant/payment"), rows)


def _rules(found: BacktestResult) -> Sheet:
    columns = (
        *("rule", "mode", "asks for", "hits", "frauds", "legitimate", "precision"),
        *("amount", "alone", "frauds by it alone", "unknown", "mostly with"),
    )
    return Sheet("Rules of the new version", columns, tuple(map(_rule, found.rules)))


def _rule(line: RuleFigures) -> tuple[str, ...]:
    most = next(iter(line.overlaps.items()), None)
    return (
        line.rule,
        line.mode,
        line.asks,
        f"{line.hits.count:,}",
        f"{line.hits.of(PaymentClass.FRAUD).count:,}",
        f"{line.hits.of(*GENUINE).count:,}",
        sure(line.hits.precision, precision_interval(line.hits)),
        money(line.hits.amounts),
        f"{line.alone.count:,}",
        f"{line.alone.frauds:,}",
        f"{line.unknown:,}",
        f"{most[0]} ({most[1]:,})" if most else "",
    )
