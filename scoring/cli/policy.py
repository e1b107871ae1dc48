"""`scoring policy`: check a policy file; take a policy from draft to live and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scoring.cli.options.control import ControlUrl, DatabaseUrl, TokenFile
from scoring.cli.plane import policy_life
from scoring.cli.plane.policy_backtest import backtest
from scoring.cli.plane.policy_report import report
from scoring.cli.plane.policy_thresholds import thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from scoring.core.policy.policy import Policy
    from scoring.core.policy.policy_file import Levels
    from scoring.core.policy.segments import Where
    from scoring.settings import Settings

app = typer.Typer(
    help="Check a policy file before it decides; take a policy from draft to live.",
    no_args_is_help=True,
)
app.command()(backtest)
app.command()(report)
app.command()(thresholds)
for _command in policy_life.COMMANDS:
    app.command()(_command)
Features = Annotated[
    Path | None,
    typer.Option(help="feature definitions; default: SCORING_FEATURES_FILE"),
]


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="the policy to check")],
    *,
    features: Features = None,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Check a policy; each mistake comes with its line, its field and a remedy.

    Managed lists are named, with what the control plane has of them where one is
    named. Exit status: 0 good, 1 it lacks one, 2 the policy is refused.
    """
    from scoring.cli.plane.managed_lists import managed_said
    from scoring.core.policy.policy_problems import remarks

    policy = _loaded(file, features)
    rules = policy.file.rules
    modes = ", ".join(
        f"{sum(rule.mode == mode for rule in rules)} {mode}"
        for mode in ("enforce", "shadow", "off")
    )
    for remark in remarks(policy.file, policy.program.always):
        typer.echo(f"{file}: remark: {remark}")
    managed = managed_said(policy, control, database, token_file)
    for one in managed:
        lacking = one.held is False
        typer.echo(f"{file}: managed list {one.name}: {one.words}", err=lacking)
    typer.echo(f"{file}: good. Version {policy.version}; rules: {modes}.")
    if any(one.held is False for one in managed):
        raise typer.Exit(1)


@app.command()
def show(
    file: Annotated[
        Path | None,
        typer.Argument(help="the policy; default: SCORING_POLICY_FILE, or the shipped"),
    ] = None,
    *,
    features: Features = None,
    source: Annotated[
        bool, typer.Option("--source", help="print the generated function instead")
    ] = False,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Show thresholds, limits, lists, rules and fallbacks as tables."""
    from rich.console import Console

    from scoring.cli.plane.managed_lists import managed_said

    policy = _loaded(file, features)
    if source:
        typer.echo(policy.program.source)
        return
    managed = managed_said(policy, control, database, token_file)
    console = Console()
    console.print(f"[bold]{policy.name}[/bold]  version {policy.version}")
    for table in (
        _thresholds(policy),
        _limits(policy),
        _lists(policy, {one.name: one.words for one in managed}),
        _rules(policy),
        _fallbacks(policy),
    ):
        console.print(table)
    default = policy.file.default
    console.print(f"Where nothing else decides: {default.outcome}")


@app.command()
def shipped(
    *,
    features: Annotated[
        Path | None,
        typer.Option(
            "--for", help="feature definitions: leave out rules that need others"
        ),
    ] = None,
) -> None:
    """Print the shipped policy, to start yours from."""
    from scoring.core.policy.shipped_policy import shipped_text
    from scoring.wiring.definitions import catalogue_from

    if features is None:
        typer.echo(shipped_text(), nl=False)
        return
    catalogue = catalogue_from(_settings(features_file=features))
    typer.echo(shipped_text(catalogue), nl=False)


@app.command()
def reasons() -> None:
    """Print the shipped table of reasons, to start yours from."""
    from importlib import resources

    text = resources.files("scoring.defaults").joinpath("reasons.yaml").read_text()
    typer.echo(text, nl=False)


def _loaded(file: Path | None, features: Path | None) -> Policy:
    """The policy against its definitions; neither store nor model is needed."""
    from scoring.wiring.definitions import catalogue_from, policy_from

    settings = _settings(features_file=features, policy_file=file)
    return policy_from(settings, catalogue_from(settings))


def _settings(**named: Path | None) -> Settings:
    """The settings, but for the files that the command line names."""
    from scoring.settings import Settings

    given = {name: path for name, path in named.items() if path is not None}
    return Settings().model_copy(update=given)


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _segment(where: Where | None) -> str:
    """A segment in words.

    >>> from scoring.core.policy.segments import Where
    >>> _segment(Where(channel="ATM")), _segment(None)
    ('channel ATM', 'any')
    """
    if where is None:
        return "any"
    written = where.model_dump(exclude_unset=True)
    return ", ".join(
        f"{name} {'/'.join(value) if isinstance(value, tuple) else value}"
        for name, value in written.items()
    )


def _thresholds(policy: Policy) -> Table:
    table = _table("Thresholds", "segment", "challenge", "review", "decline")
    written = policy.file.thresholds
    for case in written.segments:
        table.add_row(_segment(case.where), *_levels(case, written.default))
    table.add_row("all others", *_levels(written.default, written.default))
    return table


def _levels(levels: Levels, default: Levels) -> list[str]:
    shown = []
    for name in ("challenge", "review", "decline"):
        written = levels if name in levels.model_fields_set else default
        level = getattr(written, name)
        shown.append("never" if level is None else f"{level:.2%}")
    return shown


def _limits(policy: Policy) -> Table:
    table = _table("Limits", "limit", "segment", "number")
    for name, limit in policy.file.limits.items():
        for case in limit.segments:
            table.add_row(name, _segment(case.where), f"{case.limit:g}")
        table.add_row(name, "all others", f"{limit.default:g}")
    return table


def _lists(policy: Policy, managed: Mapping[str, str]) -> Table:
    table = _table("Lists", "list", "field", "then", "entries")
    for name, listed in policy.file.lists.items():
        then = listed.then or "used by rules"
        entries = str(len(listed.entries))
        if name in managed:
            entries = f"managed: {managed[name]}"
        table.add_row(name, listed.field or "", then, entries)
    return table


def _rules(policy: Policy) -> Table:
    table = _table("Rules", "rule", "when", "then")
    for rule in policy.file.rules:
        mode = "" if rule.mode == "enforce" else f" ({rule.mode})"
        table.add_row(rule.id, rule.when.strip(), f"{rule.then}{mode}")
    return table


def _fallbacks(policy: Policy) -> Table:
    table = _table("Fallbacks", "missing", "segment", "then", "reason")
    for fallback in policy.file.fallbacks:
        table.add_row(
            ", ".join(fallback.degradation),
            _segment(fallback.where),
            fallback.then,
            fallback.reason_code or "",
        )
    return table
