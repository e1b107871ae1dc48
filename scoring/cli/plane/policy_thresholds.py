"""`scoring policy thresholds`: the levels of the score that cost least."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scoring.cli.options.control import DatabaseUrl
from scoring.cli.plane.policy_backtest import (
    LIVE,
    ArchiveDir,
    Csv,
    Days,
    Decisions,
    Json,
    LabelDelay,
    MemoryMb,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.backtest.costs import Cheapest


def thresholds(
    cost: Annotated[Path, typer.Option(help="what each outcome costs (YAML)")],
    *,
    policy: Annotated[
        str, typer.Option(help="the version: a file, or `live`, the settings'")
    ] = LIVE,
    out: Annotated[
        Path | None, typer.Option(help="write the proposal here: the version's text")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="write the cost curves here (SVG)")
    ] = None,
    database: DatabaseUrl = "",
    archive: ArchiveDir = None,
    decisions: Decisions = None,
    days: Days = 90,
    label_delay_days: LabelDelay = None,
    memory_mb: MemoryMb = 2_048,
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Choose the thresholds that cost least on decided payments, by segment.

    The proposal is the version's text with other levels, its comments kept; nothing
    is put in force.
    """
    import json

    from scoring.backtest.costs import cheapest, load_costs
    from scoring.backtest.run import BacktestOptions
    from scoring.cli.plane.judged_version import Paid, judged_version, write_tables
    from scoring.cli.plane.policy_backtest import read_text
    from scoring.core.policy.policy import load_policy
    from scoring.settings import Settings
    from scoring.wiring.definitions import catalogue_from

    catalogue = catalogue_from(Settings())
    asked = load_costs(read_text(cost), name=str(cost))
    options = BacktestOptions(days, label_delay_days, memory_mb)
    judged = judged_version(policy, Paid(archive, decisions, database), options)
    chosen = cheapest(judged.found.curves, asked)
    if csv is not None:
        write_tables(csv, {"thresholds": [_record(one) for one in chosen]})
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in chosen], indent=1))
    else:
        _show(chosen, catalogue.currency)
    if out is not None:
        from scoring.backtest.proposal import with_levels

        text = with_levels(_policy_text(policy), chosen)
        made = load_policy(text, catalogue=catalogue, name=str(out))
        out.write_text(text, "utf-8")
        typer.echo(f"{out}: version {made.version}, proposed", err=True)
    if plot is not None:
        plot.write_text(_chart(chosen), "utf-8")


def _policy_text(named: str) -> str:
    from scoring.cli.plane.policy_backtest import read_text
    from scoring.core.policy.shipped_policy import shipped_text
    from scoring.settings import Settings

    file = Settings().policy_file if named == LIVE else Path(named)
    return shipped_text() if file is None else read_text(file)


def _show(chosen: Sequence[Cheapest], currency: str) -> None:
    from scoring.backtest.costs import total
    from scoring.replay.sheet import Sheet, money, show

    rows = tuple(
        (
            one.segment,
            _levels(one.now),
            _levels(one.chosen),
            f"{one.frauds:,}",
            money({currency: round(one.cost_now_minor)}),
            money({currency: round(one.cost_minor)}),
            one.kept,
        )
        for one in chosen
    )
    columns = (
        *("segment", "levels now", "cheapest", "frauds known", "cost now"),
        *("cost then", "kept because"),
    )
    show([Sheet("Thresholds by cost: challenge / review / decline", columns, rows)])
    now, then = (
        money({currency: round(total(chosen)[when])}) for when in ("now", "chosen")
    )
    typer.echo(f"all segments: {now} now, {then} by the cheapest levels")


def _levels(levels: Sequence[float | None]) -> str:
    return " / ".join("never" if level is None else f"{level:g}" for level in levels)


def _plain(one: Cheapest) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__slots__}


def _record(one: Cheapest) -> dict[str, object]:
    """A segment for a spreadsheet: no level is an empty cell."""
    names = ("challenge", "review", "decline")
    levels = {
        f"{name}_{when}": level
        for when, own in (("now", one.now), ("cheapest", one.chosen))
        for name, level in zip(names, own, strict=True)
    }
    return {
        "segment": one.segment,
        **levels,
        "frauds_known": one.frauds,
        "cost_now_minor": round(one.cost_now_minor),
        "cost_cheapest_minor": round(one.cost_minor),
        "kept_because": one.kept,
    }


def _chart(chosen: Sequence[Cheapest]) -> str:
    """What each level of decline costs, the other levels as chosen; major units."""
    from scoring.backtest.trial import BINS
    from scoring.training.plots import line_chart

    most = max((max(one.costs) for one in chosen), default=1.0) or 1.0
    series = {
        one.segment: [((i + 1) / BINS, cost) for i, cost in enumerate(one.costs)]
        for one in chosen
    }
    return line_chart(
        series, x="level of decline", y="cost, minor units", limits=(1, most)
    )
