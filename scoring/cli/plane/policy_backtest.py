"""`scoring policy backtest`: what a version, or a rule, would have done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scoring.cli.options.control import DatabaseUrl

if TYPE_CHECKING:
    from scoring.backtest.result import BacktestResult
    from scoring.backtest.run import BacktestOptions
    from scoring.backtest.source import PaidSource
    from scoring.core.features.catalogue import Catalogue
    from scoring.core.policy.policy import Policy
    from scoring.settings import Settings

LIVE = "live"
ArchiveDir = Annotated[
    Path | None,
    typer.Option("--archive", help="The archive. Default: SCORING_ARCHIVE_DIR."),
]
Decisions = Annotated[
    Path | None,
    typer.Option("--decisions", help="A replay's decisions instead (Parquet)."),
]
Days = Annotated[int, typer.Option("--days", min=1, help="How many of the last days.")]
LabelDelay = Annotated[
    int | None,
    typer.Option(
        "--label-delay-days",
        min=0,
        help="When a label is usually known. Default: what 95 % of frauds took.",
    ),
]
MemoryMb = Annotated[
    int, typer.Option("--memory-mb", min=256, help="What lies beyond goes to disk.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


def backtest(
    file: Annotated[
        Path | None, typer.Argument(help="the new version; or name a --rule")
    ] = None,
    *,
    against: Annotated[
        str, typer.Option(help="the old version: a file, or `live`, the settings'")
    ] = LIVE,
    rule: Annotated[
        Path | None, typer.Option(help="one rule, added to the old version")
    ] = None,
    proposal: Annotated[
        int | None,
        typer.Option(help="a version by its number; its figures are kept for the gate"),
    ] = None,
    database: DatabaseUrl = "",
    archive: ArchiveDir = None,
    decisions: Decisions = None,
    days: Days = 90,
    label_delay_days: LabelDelay = None,
    memory_mb: MemoryMb = 2_048,
    decline_more_max: Annotated[
        float | None,
        typer.Option(help="in % of payments or amount; beyond it the status is 1"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge the same decided payments by a new version and by the old one.

    With --proposal the new version is one of the control plane's database, and the old
    one is in force there; propose it then: the proposal carries the newest backtest.

    Exit status: 0 judged, 1 the new version declines more than --decline-more-max of
    what the old one does not decline, 2 nothing could be judged.
    """
    from scoring.backtest.page import backtest_sheets, remarks
    from scoring.backtest.result import backtest_json
    from scoring.backtest.run import BacktestOptions
    from scoring.cli.options.control import plane_at
    from scoring.cli.plane.kept_backtest import kept_backtest
    from scoring.errors import BadArtifact
    from scoring.replay.sheet import show
    from scoring.settings import Settings
    from scoring.wiring.definitions import catalogue_from

    settings = Settings()
    catalogue = catalogue_from(settings)
    options = BacktestOptions(days, label_delay_days, memory_mb)
    chosen = source(settings, catalogue, archive, decisions)

    def judge(new: Policy, old: Policy) -> BacktestResult:
        return judged(chosen, new, old, options)

    if proposal is None:
        old, new = _versions(settings, catalogue, (file, rule), against)
        found = judge(new, old)
    else:
        if file or rule or against != LIVE:
            raise BadArtifact(
                "--proposal compares with what is in force: leave out the file, --rule "
                "and --against"
            )
        with plane_at(settings, database) as plane:
            found = kept_backtest(plane, proposal, catalogue, settings, judge)
    if as_json:
        typer.echo(backtest_json(found), nl=False)
    else:
        show(backtest_sheets(found))
        for line in remarks(found):
            typer.echo(line)
    _hold(found, decline_more_max)


def _hold(found: BacktestResult, decline_more_max: float | None) -> None:
    """End with status 1 where more is declined than is allowed, in per cent."""
    more = max(found.accepted_then_declined) * 100
    if decline_more_max is not None and more > decline_more_max:
        limit = f"beyond --decline-more-max {decline_more_max:g}"
        told = f"declines {more:.2f} % of what the old version accepts"
        typer.echo(f"{told}: {limit}", err=True)
        raise typer.Exit(1)


def judged(
    chosen: PaidSource, new: Policy, old: Policy, options: BacktestOptions
) -> BacktestResult:
    """The backtest, with a progress bar; Ctrl-C ends it and leaves nothing behind."""
    from scoring.backtest.run import backtest as run
    from scoring.training.progress import bar

    with bar(transient=True) as report:
        return run(chosen, new, old, options=options, report=report)


def source(
    settings: Settings,
    catalogue: Catalogue,
    archive: Path | None,
    decisions: Path | None,
) -> PaidSource:
    """Where the decided payments are; raises `BadArtifact` where nobody says."""
    from scoring.backtest.source import source_of
    from scoring.errors import BadArtifact

    if archive and decisions:
        raise BadArtifact("name --archive or --decisions, not both")
    place = decisions or archive or settings.archive_dir
    if place is None:
        raise BadArtifact(
            "no decided payments are named: --archive DIR, --decisions FILE, or set "
            "SCORING_ARCHIVE_DIR"
        )
    return source_of(place, catalogue)


def _versions(
    settings: Settings,
    catalogue: Catalogue,
    named: tuple[Path | None, Path | None],
    against: str,
) -> tuple[Policy, Policy]:
    """The old version and the new."""
    from scoring.backtest.versions import with_rule
    from scoring.errors import BadArtifact
    from scoring.wiring.definitions import policy_from

    file, rule = named
    if (file is None) == (rule is None):
        raise BadArtifact("name the new version's file, or a rule with --rule FILE")
    old = version(settings, catalogue, against)
    if rule is not None:
        text = read_text(rule)
        return old, with_rule(old, text, catalogue=catalogue, name=str(rule))
    chosen = settings.model_copy(update={"policy_file": file})
    return old, policy_from(chosen, catalogue)


def version(settings: Settings, catalogue: Catalogue, named: str) -> Policy:
    """A version by its file, or the one of the settings."""
    from scoring.wiring.definitions import policy_from

    if named != LIVE:
        settings = settings.model_copy(update={"policy_file": Path(named)})
    return policy_from(settings, catalogue)


def read_text(path: Path) -> str:
    """A file's text; raises `BadArtifact`."""
    from scoring.errors import BadArtifact

    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadArtifact(f"{path}: cannot be read: {error}") from error
