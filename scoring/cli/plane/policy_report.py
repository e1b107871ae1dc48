"""`scoring policy report`: rules, segments and the schemes' yardsticks, in figures."""

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
    from scoring.backtest.costs import CostFile
    from scoring.backtest.report import Beside
    from scoring.backtest.run import BacktestOptions
    from scoring.cli.plane.judged_version import JudgedVersion


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
    cost: Annotated[
        Path | None,
        typer.Option(help="what each outcome costs (YAML): adds what was paid"),
    ] = None,
    csv: Csv = None,
    as_json: Json = False,
) -> None:
    """Report on a version's rules and segments over decided payments.

    Rules are asked again, of all payments of the span, so that one of today has
    figures of before it was written. The yardsticks need an archive.
    """
    import json

    from scoring.backtest.costs import load_costs
    from scoring.backtest.report import report_json
    from scoring.backtest.report_page import (
        report_remarks,
        report_sheets,
        report_tables,
    )
    from scoring.backtest.run import BacktestOptions
    from scoring.cli.plane.judged_version import Paid, judged_version, write_tables
    from scoring.cli.plane.policy_backtest import read_text
    from scoring.replay.sheet import show

    costs = None if cost is None else load_costs(read_text(cost), name=str(cost))
    options = BacktestOptions(days, label_delay_days, memory_mb)
    judged = judged_version(policy, Paid(archive, decisions, database), options)
    beside = _beside(judged, options, costs)
    written = report_json(judged.found, judged.policy, beside)
    if csv is not None:
        write_tables(csv, report_tables(written))
    if as_json:
        typer.echo(json.dumps(written, indent=1))
        return
    show(report_sheets(written))
    for line in report_remarks(written):
        typer.echo(line)
    if beside.yardsticks is None:
        typer.echo("the schemes' yardsticks need an archive, which --archive names")


def _beside(
    judged: JudgedVersion, options: BacktestOptions, costs: CostFile | None
) -> Beside:
    """What only an archive tells, and the costs."""
    from scoring.backtest.let_through import sample_figures
    from scoring.backtest.report import Beside
    from scoring.backtest.source import ArchiveSource
    from scoring.backtest.yardsticks import yardsticks

    if not isinstance(judged.source, ArchiveSource):
        return Beside(costs=costs)
    return Beside(
        yardsticks(judged.source, options),
        sample_figures(judged.source, judged.policy, options),
        costs,
    )
