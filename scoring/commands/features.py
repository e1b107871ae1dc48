"""`scoring features`: what is known about a payment; whether a file is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.core.catalogue import Catalogue

app = typer.Typer(help="Feature definitions: show them, check a file.")

_FILE = Annotated[
    Path | None, typer.Argument(help="Definitions; the shipped ones when left out.")
]


@app.command()
def describe(
    file: _FILE = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the documentation page.")
    ] = False,
) -> None:
    """Print every feature: entity, window, unit, default and what it costs."""
    from scoring.core.catalogue_page import as_markdown, rows

    catalogue = _load(file)
    if markdown:
        typer.echo(as_markdown(catalogue), nl=False)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{catalogue.name} {catalogue.version}")
    for heading in rows(catalogue)[0]:
        table.add_column(heading, overflow="fold")
    for row in rows(catalogue)[1:]:
        table.add_row(*row)
    Console().print(table)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The definitions to check.")],
) -> None:
    """Refuse a file with line, field and remedy; exit 2 when it is refused."""
    catalogue = _load(file)
    typer.echo(
        f"{file}: {len(catalogue.names)} features, version {catalogue.version}, "
        f"{catalogue.stored_count} stored numbers"
    )


def _load(file: Path | None) -> Catalogue:
    from scoring.core.catalogue import default_catalogue, load_catalogue
    from scoring.errors import BadArtifact

    if file is None:
        return default_catalogue()
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadArtifact(f"{file}: cannot be read as UTF-8 text: {error}") from error
    return load_catalogue(text, name=str(file))
