"""`scoring audit`: who did what, when and why, and whether the record is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scoring.cli.options.control import with_control

if TYPE_CHECKING:
    from scoring.client.control_plane import ControlApi

app = typer.Typer(
    help="Read, verify and export the audit of the control plane.",
    no_args_is_help=True,
)


@app.command("log")
@with_control
def log(
    api: ControlApi,
    *,
    subject: Annotated[
        str, typer.Option(help='of one subject alone, such as "policy 3"')
    ] = "",
    action: Annotated[
        str, typer.Option(help="of one action alone, such as policy.approve")
    ] = "",
) -> None:
    """Show the entries, the oldest first."""
    from scoring.cli.plane.show import entry_line

    entry = None
    for entry in api.items("audit", subject=subject, action=action):
        typer.echo(entry_line(entry))
    if entry is None:
        typer.echo("no entry is of these", err=True)


@app.command()
@with_control
def verify(api: ControlApi) -> None:
    """Verify the chain; exit status 1 when an entry was changed, moved or left out."""
    found = api.get("audit", "verification").json
    for problem in found["problems"]:
        typer.secho(f"✗ {problem}", fg=typer.colors.RED, err=True)
    if found["problems"]:
        raise typer.Exit(1)
    typer.echo(f"the audit is whole: {found['entries']} entries")


@app.command()
@with_control
def export(
    api: ControlApi,
    *,
    out: Annotated[Path | None, typer.Option(help="default: standard output")] = None,
    after: Annotated[
        int, typer.Option(min=0, help="only what follows this sequence")
    ] = 0,
) -> None:
    """Export every entry as it was hashed, one line of JSON each."""
    lines = api.get("audit", "export", after=after).body
    if out is None:
        typer.echo(lines.decode(), nl=False)
        return
    out.write_bytes(lines)
    count = len(lines.splitlines())
    typer.echo(f"{out}: {count} entries")
