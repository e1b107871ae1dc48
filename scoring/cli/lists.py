"""`scoring lists`: lists of tokens that policies name, one entry or a million."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoring.cli.options.control import with_control

if TYPE_CHECKING:
    from scoring.client.control_plane import ControlApi

app = typer.Typer(
    help="Change the managed lists that policies name: entries, files, export.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="the list, as policies name it")]
WhyOption = Annotated[str, typer.Option("--why", help="the reason, for the audit")]
Revision = Annotated[
    int | None,
    typer.Option(help="refuse where the list is at another revision than this"),
]


@app.command()
@with_control
def show(api: ControlApi) -> None:
    """Show every list: what it is of, its entries and its revision."""
    for each in api.items("lists"):
        typer.echo(
            f"{each['name']}  {each['kind']} of {each['field']}  "
            f"{each['count']:,} entries  revision {each['revision']}"
        )


@app.command()
@with_control
def create(
    api: ControlApi,
    name: Name,
    *,
    field: Annotated[
        str, typer.Option(help="whose values it lists: card, device, attributes.x …")
    ],
    kind: Annotated[str, typer.Option(help="block, allow or plain")] = "block",
    about: Annotated[str, typer.Option(help="what it is for")] = "",
    why: WhyOption = "",
) -> None:
    """Make a list without entries."""
    body = {"name": name, "kind": kind, "field": field, "about": about, "why": why}
    made = api.post("lists", body=body).json
    typer.echo(
        f"{name}: revision {made['revision']}; a policy names it with managed: true"
    )


@app.command()
@with_control
def add(
    api: ControlApi,
    name: Name,
    token: Annotated[str, typer.Argument(help="never a card number")],
    *,
    expires: Annotated[
        str, typer.Option(help="event time, such as 2026-12-31T23:00:00Z")
    ] = "",
    reason: Annotated[str, typer.Option(help="kept beside the token")] = "",
    revision: Revision = None,
    why: WhyOption = "",
) -> None:
    """Put a token on a list, in place of what it had."""
    body = {"token": token, "expires": expires, "reason": reason, "why": why}
    told = api.post("lists", name, "entries", body=body | _at(revision)).json
    _tell(told, "on the list")


@app.command()
@with_control
def remove(
    api: ControlApi,
    name: Name,
    token: Annotated[str, typer.Argument(help="the token to take off")],
    *,
    revision: Revision = None,
    why: WhyOption = "",
) -> None:
    """Take a token off a list."""
    body = {"token": token, "why": why}
    told = api.post("lists", name, "removals", body=body | _at(revision)).json
    _tell(told, "off the list")


@app.command("import")
@with_control
def import_(
    api: ControlApi,
    name: Annotated[
        str, typer.Argument(help="the list; every one, with a policy")
    ] = "",
    file: Annotated[
        Path | None, typer.Argument(help="CSV or JSON lines: token, expires, reason")
    ] = None,
    *,
    from_policy: Annotated[
        Path | None,
        typer.Option(help="move the entries that a policy holds to managed lists"),
    ] = None,
    replace: Annotated[
        bool, typer.Option(help="what the file lacks comes off the list")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="say what would change")] = False,
    why: WhyOption = "",
) -> None:
    """Import a file: all of it or, where it has a mistake, nothing."""
    from scoring.cli.plane.list_files import ImportOf, imported, moved_from
    from scoring.errors import BadArtifact

    if (file is None) == (from_policy is None):
        raise BadArtifact("name a list and its file, or --from-policy FILE")
    of_it = ImportOf(api, replace=replace, dry_run=dry_run, why=why)
    if file is not None:
        imported(of_it, name, file.name, file.read_bytes())
    elif from_policy is not None:
        moved_from(of_it, from_policy, name)


@app.command()
@with_control
def undo(
    api: ControlApi,
    name: Name,
    number: Annotated[int, typer.Argument(help="the import, as `imports` shows it")],
    *,
    why: WhyOption = "",
) -> None:
    """Bring back what an import changed; what was changed since stays as it is."""
    from scoring.cli.plane.list_files import followed

    undoing = ("lists", name, "imports", number, "undoing")
    followed(api, undoing, {"why": why}, told="undoing")
    told = api.get("lists", name).json
    typer.echo(f"import {number} is undone; the list's entries: {told['count']:,}")


@app.command()
@with_control
def imports(api: ControlApi, name: Name) -> None:
    """Show the newest imports of a list."""
    for each in api.items("lists", name, "imports"):
        typer.echo(
            f"{each['number']}  {each['state']}  {each['source']}  {_diff(each)}"
        )


@app.command()
@with_control
def entries(
    api: ControlApi,
    name: Name,
    *,
    prefix: Annotated[str, typer.Option(help="how their tokens begin")] = "",
    limit: Annotated[int, typer.Option(min=1, help="show so many")] = 50,
) -> None:
    """Show entries in the order of their tokens: until when, why and by whom."""
    from itertools import islice

    from scoring.cli.plane.show import time_of

    found = api.items("lists", name, "entries", prefix=prefix, limit=min(limit, 200))
    for each in islice(found, limit):
        until = each["until_ms"]
        ends = "for ever" if until is None else f"until {time_of(until)}"
        why = f"  {each['reason']}" if each["reason"] else ""
        typer.echo(f"{each['token']}  {ends}{why}  by {each['author']}")


@app.command()
@with_control
def export(
    api: ControlApi,
    name: Name,
    *,
    out: Annotated[Path | None, typer.Option(help="default: standard output")] = None,
) -> None:
    """Export every entry as JSON lines, as `import` reads them."""
    body = api.get("lists", name, "export").body
    if out is None:
        typer.echo(body.decode(), nl=False)
    else:
        out.write_bytes(body)


@app.command()
@with_control
def delete(
    api: ControlApi,
    name: Name,
    *,
    why: Annotated[str, typer.Option("--why", help="the reason, for the audit")],
    revision: Revision = None,
) -> None:
    """Delete a list, unless a policy that runs or is approved names it."""
    body = {"why": why} | _at(revision)
    api.post("lists", name, "deletion", body=body)
    typer.echo(f"{name} is deleted")


def _at(revision: int | None) -> dict[str, Any]:
    return {} if revision is None else {"revision": revision}


def _tell(told: dict[str, Any], where: str) -> None:
    already = "" if told["changed"] else " already"
    typer.echo(f"{where}{already}: revision {told['list']['revision']}")


def _diff(told: dict[str, Any]) -> str:
    from scoring.cli.plane.list_files import diff_line

    return diff_line(told)
