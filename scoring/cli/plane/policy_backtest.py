"""`scoring policy backtest`: what a version, or a rule, would have done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoring.cli.options.control import ControlUrl, DatabaseUrl, ListsAsNow, TokenFile

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
Csv = Annotated[
    Path | None,
    typer.Option(
        "--csv", metavar="DIR", help="Write each table there too, for a spreadsheet."
    ),
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
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
    archive: ArchiveDir = None,
    decisions: Decisions = None,
    days: Days = 90,
    label_delay_days: LabelDelay = None,
    memory_mb: MemoryMb = 2_048,
    tenant: Annotated[str, typer.Option(help="payments of this one alone")] = "",
    rolled_out: Annotated[
        bool, typer.Option(help="rules act for every payment, whatever their rollout")
    ] = False,
    lists_as_now: ListsAsNow = False,
    decline_more_max: Annotated[
        float | None,
        typer.Option(help="in % of payments or amount; beyond it the status is 1"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge the same decided payments by a new version and by the old one.

    With --control the control plane runs it over its own archive, and keeps the figures
    for the gate; Ctrl-C cancels it. With --proposal and a database it runs here: the
    figures are brought, and the gate then asks for a written reason.

    Exit status: 0 judged, 1 the new version declines more than --decline-more-max of
    what the old one does not decline, 2 nothing could be judged.
    """
    from scoring.backtest.run import BacktestOptions
    from scoring.settings import Settings
    from scoring.wiring.definitions import catalogue_from

    settings = Settings()
    named = Named(file, rule, proposal, against)
    if control or (settings.control_url and not (archive or decisions or database)):
        from scoring.cli.plane.backtest_there import run_there

        scope = {
            "days": days,
            "label_delay_days": label_delay_days,
            "tenant": tenant,
            "rolled_out": rolled_out,
            "lists_as_now": lists_as_now,
        }
        body = named.asked_for(bool(archive or decisions)) | scope
        figures = run_there((control, token_file), body, as_json=as_json)
        _hold(max(_shares(figures)), decline_more_max)
        return
    judge = Judge(
        settings,
        source(settings, catalogue_from(settings), archive, decisions),
        BacktestOptions(days, label_delay_days, memory_mb, tenant=tenant),
        database=database,
        lists_as_now=lists_as_now,
        rolled_out=rolled_out,
    )
    found = _found_here(judge, named, as_json=as_json)
    _hold(max(found.accepted_then_declined), decline_more_max)


@dataclass(frozen=True, slots=True)
class Named:
    """The versions that a command line names."""

    file: Path | None
    rule: Path | None
    proposal: int | None
    against: str

    def asked_for(self, elsewhere: bool) -> dict[str, Any]:
        """The request to a control plane; raises `BadArtifact`.

        `elsewhere`: other payments are named than those of its archive.
        """
        from scoring.errors import BadArtifact

        if elsewhere:
            raise BadArtifact(
                "the control plane (--control, SCORING_CONTROL_URL) judges its own "
                "archive: leave out --archive and --decisions"
            )
        named = [each for each in (self.file, self.rule, self.proposal) if each]
        if len(named) != 1:
            raise BadArtifact("name one of the new version's file, --rule, --proposal")
        found: dict[str, Any] = {"policy": self.proposal}
        if self.file or self.rule:
            path = self.file or self.rule
            assert path is not None
            found = {"text" if self.file else "rule": read_text(path)}
        if self.against == LIVE:
            return found
        if not self.against.isdigit():
            raise BadArtifact(
                f"--against {self.against}: the control plane (--control, "
                "SCORING_CONTROL_URL) knows versions by their numbers: name one, or "
                "leave it out for what is in force"
            )
        return found | {"against": int(self.against)}


def _found_here(judge: Judge, named: Named, *, as_json: bool) -> BacktestResult:
    """Judge, keep what a proposal needs, and print."""
    from scoring.backtest.page import backtest_sheets, remarks
    from scoring.backtest.result import backtest_json
    from scoring.cli.options.control import plane_at
    from scoring.cli.plane.kept_backtest import kept_backtest
    from scoring.errors import BadArtifact
    from scoring.replay.sheet import show

    settings, catalogue = judge.settings, judge.source.catalogue
    if named.proposal is None:
        files = (named.file, named.rule)
        old, new = _versions(settings, catalogue, files, named.against)
        found = judge(new, old)
    else:
        if named.file or named.rule or named.against != LIVE:
            raise BadArtifact(
                "--proposal compares with what is in force: leave out the file, --rule "
                "and --against"
            )
        with plane_at(settings, judge.database) as plane:
            found = kept_backtest(plane, named.proposal, catalogue, settings, judge)
    if as_json:
        typer.echo(backtest_json(found), nl=False)
    else:
        show(backtest_sheets(found))
        for line in remarks(found):
            typer.echo(line)
    return found


def _shares(figures: dict[str, Any]) -> tuple[float, float]:
    more = figures["newly_declined"]
    return more["share_by_count"], more["share_by_amount"]


def _hold(share: float, decline_more_max: float | None) -> None:
    """End with status 1 where more is declined than is allowed, in per cent."""
    more = share * 100
    if decline_more_max is not None and more > decline_more_max:
        limit = f"beyond --decline-more-max {decline_more_max:g}"
        told = f"declines {more:.2f} % of what the old version accepts"
        typer.echo(f"{told}: {limit}", err=True)
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges versions here, by managed lists as they are known here."""

    settings: Settings
    source: PaidSource
    options: BacktestOptions
    database: str = ""
    lists_as_now: bool = False
    rolled_out: bool = False

    def __call__(self, new: Policy, old: Policy) -> BacktestResult:
        """A backtest, with a progress bar; Ctrl-C ends it and leaves nothing behind.

        Raises `BadArtifact` where a managed list's entries are not known.
        """
        from scoring.backtest.run import backtest as run
        from scoring.backtest.side import Judging
        from scoring.cli.plane.known_lists import known_lists
        from scoring.training.progress import bar

        lists = known_lists(
            self.settings, self.database, (new, old), as_now=self.lists_as_now
        )
        judging = Judging(lists, everyone=self.rolled_out)
        options = replace(self.options, judging=judging)
        with bar(transient=True) as report:
            return run(self.source, new, old, options=options, report=report)


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
    from scoring.core.policy.rule_file import with_rule
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
