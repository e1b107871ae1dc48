"""Backtests a version against another: chunk by chunk, then what the sums say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isinf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scoring.backtest.managed import names_of
from scoring.backtest.result import (
    BacktestResult,
    Curve,
    CurveCell,
    SegmentFigures,
    SideFigures,
)
from scoring.backtest.rule_figures import SegmentParts, rule_figures
from scoring.backtest.segments import segment_name
from scoring.backtest.side import AS_WRITTEN, Judging, Side
from scoring.backtest.source import DAYS, PaidSource
from scoring.backtest.trial import Trial
from scoring.core.decision.decision import Outcome, RuleHit
from scoring.core.policy.policy import Policy
from scoring.core.policy.ruling import ClauseAsk
from scoring.replay.flips import Flips
from scoring.replay.slices import PaymentClass, PaymentSum, Slice
from scoring.training.progress import Report, silent
from scoring.training.sql import connect

_SAMPLES = 20  # payments of each flip


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """What is judged, and what the work may take.

    `label_delay_days` None: what 95 % of the labels that say fraud took. An empty
    `tenant` is every one. What does not fit into `memory_mb` is written below
    `scratch`, the system's by default.
    """

    days: int = DAYS
    label_delay_days: int | None = None
    memory_mb: int = 2_048
    threads: int | None = None
    scratch: Path | None = None
    tenant: str = ""
    judging: Judging = AS_WRITTEN


DEFAULTS = BacktestOptions()


@contextmanager
def workbench(options: BacktestOptions) -> Iterator[Any]:
    """A DuckDB connection within bounds; what it spilled is removed at the end."""
    with (
        TemporaryDirectory(prefix="scoring-backtest-", dir=options.scratch) as spill,
        connect() as con,
    ):
        con.execute(f"SET memory_limit = '{options.memory_mb}MB'")
        con.execute(f"SET temp_directory = '{spill.replace(chr(39), chr(39) * 2)}'")
        con.execute("SET preserve_insertion_order = false")
        if options.threads:
            con.execute(f"SET threads = {options.threads}")
        yield con


def backtest(
    source: PaidSource,
    new: Policy,
    old: Policy,
    *,
    options: BacktestOptions = DEFAULTS,
    report: Report = silent,
) -> BacktestResult:
    """Trial the same decided payments by both; raises `BadArtifact` where none are.

    Vectors, scores and what was missing are as they were served; nothing is asked of
    a store or a model.
    """
    judging = options.judging
    sides = Side("old", old, judging), Side("new", new, judging)
    with workbench(options) as con:
        report("reading", 0.0)
        span = source.span(con, options.days, options.label_delay_days)
        span = replace(span, tenant=options.tenant)
        trial = Trial(con, source.catalogue, *sides, span)
        for done in source.chunks(con, span):
            trial.take()
            report("judging", done)
        return _found(trial)


def _found(trial: Trial) -> BacktestResult:
    con = trial.con
    parts = {side.name: _by_combination(con, side.name) for side in trial.sides}
    figures = [_figures(trial, side, parts[side.name]) for side in trial.sides]
    ((decided, differing),) = con.execute(
        """SELECT coalesce(sum(count), 0), coalesce(sum(differing), 0)
        FROM recorded_by_old"""
    ).fetchall()
    skipped = con.execute(
        "SELECT cause, sum(count) FROM skipped GROUP BY 1 ORDER BY 1"
    ).fetchall()
    flips, samples = _flips(trial)
    declined = _by_segment(trial, "declined", "new")
    return BacktestResult(
        old=figures[0],
        new=figures[1],
        features=trial.catalogue.version,
        currency=trial.catalogue.currency,
        span=trial.span,
        eligible=sum(part.count for part in parts["new"].values()),
        skipped={cause: int(count) for cause, count in skipped},
        flips=flips,
        samples=samples,
        rules=rule_figures(trial, parts["new"], declined),
        segments=_segments(trial),
        curves=_curves(trial),
        decided_by_old=int(decided),
        differing=int(differing),
        lists=tuple(
            trial.new.judging.lists.needed(name).told
            for name in names_of(side.policy for side in trial.sides)
        ),
        assumes=assumptions(trial.sides),
    )


def assumptions(sides: tuple[Side, Side]) -> tuple[str, ...]:
    """What the figures take for granted, in words."""
    rolled = sorted({ask.name for s in sides for ask in _rolled(s.policy)})
    every = sides[0].judging.everyone
    told = ["the breaker holds no rule back"]
    if rolled:
        acts = "for every payment" if every else "for their share of the payments"
        told.append(f"{', '.join(rolled)}: rolled out, act {acts}")
    if any(side.policy.sample is not None for side in sides):
        told.append("nothing is let through that would be declined")
    return tuple(told)


def _rolled(policy: Policy) -> list[ClauseAsk]:
    held = policy.rollouts.mask
    return [ask for i, ask in enumerate(policy.asks) if held >> i & 1]


def _by_combination(con: Any, side: str) -> dict[int, Slice]:
    rows = con.execute(
        f"SELECT {side}, {_SUMS} FROM groups GROUP BY {side}, truth, currency"  # noqa: S608
    ).fetchall()
    found: dict[int, Slice] = {}
    for combination, *sums in rows:
        found.setdefault(combination, Slice()).add(_slice(sums))
    return found


_SUMS = """truth, currency, sum(count)::BIGINT, sum(minor), sum(amount), sum(weight),
    sum(weighted)"""


def _slice(sums: list[Any]) -> Slice:
    truth, currency, count, minor, amount, weight, weighted = sums
    money = {currency: int(minor)} if minor else {}
    return Slice(
        {
            PaymentClass(truth): PaymentSum(
                count, money, int(amount), float(weight), float(weighted)
            )
        }
    )


def _figures(trial: Trial, side: Side, parts: dict[int, Slice]) -> SideFigures:
    outcomes = {outcome: Slice() for outcome in Outcome if outcome}
    for combination, part in parts.items():
        outcomes[trial.found[side.name][combination].outcome].add(part)
    return SideFigures(side.policy.version, side.policy.name, outcomes)


# Flips ---------------------------------------------------------------------------


def _flips(
    trial: Trial,
) -> tuple[Flips, dict[str, tuple[tuple[str, str], ...]]]:
    rows = trial.con.execute(
        f"SELECT old, new, {_SUMS} FROM groups GROUP BY old, new, truth, currency"  # noqa: S608
    ).fetchall()
    both = 0
    pairs: dict[tuple[int, int], Slice] = {}
    for old, new, *sums in rows:
        part = _slice(sums)
        both += part.count
        outcomes = trial.outcome("old", old), trial.outcome("new", new)
        if outcomes[0] is not outcomes[1]:
            pairs.setdefault((old, new), Slice()).add(part)
    by_flip: dict[str, Slice] = {}
    by_rule: dict[tuple[str, str, str], Slice] = {}
    for (old, new), part in pairs.items():
        flip = _flip(trial, old, new)
        by_flip.setdefault(flip, Slice()).add(part)
        for rule, what in _because(trial.hits("old", old), trial.hits("new", new)):
            by_rule.setdefault((rule, what, flip), Slice()).add(part)
    flips = Flips(both, dict(sorted(by_flip.items())), dict(sorted(by_rule.items())))
    return flips, _samples(trial)


def _flip(trial: Trial, old: int, new: int) -> str:
    sides = (("old", old), ("new", new))
    return " → ".join(trial.outcome(*side).name.lower() for side in sides)


def _samples(trial: Trial) -> dict[str, tuple[tuple[str, str], ...]]:
    rows = trial.con.execute(
        "SELECT old, new, tenant, id FROM samples ORDER BY hash(id), id"
    ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for old, new, tenant, id_ in rows:
        own = found.setdefault(_flip(trial, old, new), [])
        if len(own) < _SAMPLES:
            own.append((tenant, id_))
    return {flip: tuple(own) for flip, own in sorted(found.items())}


def _because(
    old: tuple[RuleHit, ...], new: tuple[RuleHit, ...]
) -> list[tuple[str, str]]:
    """What the rules say otherwise; ("", "") where none does.

    >>> from scoring.core.decision.decision import RuleMode
    >>> hit = RuleHit("r", Outcome.DECLINE, RuleMode.ENFORCE)
    >>> _because((), (hit,)), _because((hit,), (hit,))
    ([('r', 'holds now')], [('', '')])
    """
    before = {hit.rule: hit for hit in old if not hit.unknown}
    after = {hit.rule: hit for hit in new if not hit.unknown}
    found = []
    for rule in [*before, *(rule for rule in after if rule not in before)]:
        x, y = before.get(rule), after.get(rule)
        if x is None:
            found.append((rule, "holds now"))
        elif y is None:
            found.append((rule, "no longer holds"))
        elif x.mode is not y.mode:
            modes = f"{x.mode.name.lower()} → {y.mode.name.lower()}"
            found.append((rule, modes))
        elif x.outcome is not y.outcome:
            asks = f"asks for {y.outcome.name.lower()}, not {x.outcome.name.lower()}"
            found.append((rule, asks))
    return found or [("", "")]


# Curves --------------------------------------------------------------------------


def _segments(trial: Trial) -> tuple[SegmentFigures, ...]:
    count = len(trial.new.policy.file.thresholds.segments) + 1
    found = [{o: Slice() for o in Outcome if o} for _ in range(count)]
    for (segment, outcome), part in _by_segment(trial, "segments", "outcome").items():
        found[segment][Outcome(outcome)].add(part)
    return tuple(
        SegmentFigures(segment_name(trial.new.policy, i), outcomes)
        for i, outcomes in enumerate(found)
    )


def _by_segment(trial: Trial, table: str, key: str) -> SegmentParts:
    rows = trial.con.execute(
        f"""SELECT segment, {key}, truth, '', sum(count)::BIGINT, 0, sum(amount),
            sum(weight), sum(weighted)
        FROM {table} GROUP BY ALL ORDER BY ALL"""  # noqa: S608 our own names
    ).fetchall()
    found: SegmentParts = {}
    for segment, own, *sums in rows:
        found.setdefault((segment, own), Slice()).add(_slice(sums))
    return found


def _curves(trial: Trial) -> tuple[Curve, ...]:
    rows = trial.con.execute(
        """SELECT segment, bin, floor, truth, sum(count)::BIGINT, sum(amount),
            sum(weight), sum(weighted)
        FROM curves GROUP BY ALL ORDER BY segment, bin, floor, truth"""
    ).fetchall()
    policy = trial.new.policy
    cuts = [*(cuts for _, cuts in policy.cuts.cases), policy.cuts.default]
    cells: list[list[CurveCell]] = [[] for _ in cuts]
    for segment, bin_, floor, truth, count, amount, weight, weighted in rows:
        tally = PaymentSum(count, {}, int(amount), float(weight), float(weighted))
        cells[segment].append(
            CurveCell(bin_, Outcome(floor), PaymentClass(truth), tally)
        )
    return tuple(
        Curve(
            segment_name(policy, i),
            tuple(None if isinf(level) else level for level in levels),  # type: ignore[arg-type]
            tuple(cells[i]),
        )
        for i, levels in enumerate(cuts)
    )
