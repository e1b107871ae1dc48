"""`scoring policy report`: rules, segments and the schemes' yardsticks, in figures."""

from __future__ import annotations

from typing import Annotated

import typer

from scoring.cli.options.control import DatabaseUrl
from scoring.cli.plane.policy_backtest import (
    LIVE,
    ArchiveDir,
    Days,
    Decisions,
    Json,
    LabelDelay,
    MemoryMb,
)


def report(
    policy: Annotated[
        str, typer.Option(help="the version: a file, or `live`, the settings'")
    ] = LIVE,
    *,
    database: DatabaseUrl = "",
    archive: ArchiveDir = None,
    decisions: Decisions = None,
    days: Days = 90,
    label_delay_days: LabelDelay = None,
    memory_mb: MemoryMb = 2_048,
    as_json: Json = False,
) -> None:
    """Report on a version's rules and segments over decided payments.

    Rules are asked again, of all payments of the span, so that one of today has
    figures of before it was written. The yardsticks need an archive.
    """
    import json

    from scoring.backtest.let_through import sample_figures
    from scoring.backtest.report import report_json, report_sheets
    from scoring.backtest.run import BacktestOptions
    from scoring.backtest.source import ArchiveSource
    from scoring.backtest.yardsticks import yardsticks
    from scoring.cli.plane.policy_backtest import Judge, source, version
    from scoring.replay.sheet import show
    from scoring.settings import Settings
    from scoring.wiring.definitions import catalogue_from

    settings = Settings()
    catalogue = catalogue_from(settings)
    chosen = source(settings, catalogue, archive, decisions)
    options = BacktestOptions(days, label_delay_days, memory_mb)
    asked = version(settings, catalogue, policy)
    judge = Judge(settings, chosen, options, database=database)
    found = judge(asked, asked)
    beside = sample = None
    if isinstance(chosen, ArchiveSource):
        beside = yardsticks(chosen, options)
        sample = sample_figures(chosen, asked, options)
    written = report_json(found, asked, beside, sample)
    if as_json:
        typer.echo(json.dumps(written, indent=1))
        return
    show(report_sheets(written))
    typer.echo(f"{found.eligible:,} payments; skipped: {dict(found.skipped) or 'none'}")
    if beside is None:
        typer.echo("the schemes' yardsticks need an archive, which --archive names")
