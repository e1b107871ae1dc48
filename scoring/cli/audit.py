"""`scoring audit`: who did what, when and why, and whether the record is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scoring.cli.options.control import ControlUrl, DatabaseUrl, TokenFile, control_at

app = typer.Typer(
    help="Read, verify and export the audit of the control plane.",
    no_args_is_help=True,
)


@app.command("log")
def log(
    *,
    subject: Annotated[
        str, typer.Option(help='of one subject alone, such as "policy 3"')
    ] = "",
    action: Annotated[
        str, typer.Option(help="of one action alone, such as policy.approve")
    ] = "",
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Show the entries, the oldest first."""
    from scoring.cli.plane.show import entry_line

    with control_at(control, database, token_file) as api:
        for entry in api.items("audit", subject=subject, action=action):
            typer.echo(entry_line(entry))


@app.command()
def verify(
    *,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Verify the chain; exit status 1 when an entry was changed, moved or left out."""
    with control_at(control, database, token_file) as api:
        found = api.get("audit", "verification").json
    for problem in found["problems"]:
        typer.secho(f"✗ {problem}", fg=typer.colors.RED, err=True)
    if found["problems"]:
        raise typer.Exit(1)
    typer.echo(f"the audit is whole: {found['entries']} entries")


@app.command()
def export(
    *,
    out: Annotated[Path | None, typer.Option(help="default: standard output")] = None,
    after: Annotated[
        int, typer.Option(min=0, help="only what follows this sequence")
    ] = 0,
    control: ControlUrl = "",
    database: DatabaseUrl = "",
    token_file: TokenFile = None,
) -> None:
    """Export every entry as it was hashed, one line of JSON each."""
    with control_at(control, database, token_file) as api:
        lines = api.get("audit", "export", after=after).body
    if out is None:
        typer.echo(lines.decode(), nl=False)
        return
    out.write_bytes(lines)
    count = len(lines.splitlines())
    typer.echo(f"{out}: {count} entries")
