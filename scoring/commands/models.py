"""`scoring models`: what stands on the shelf, and which model decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scoring.core.bundle import Manifest

app = typer.Typer(help="List, promote and compare models.", no_args_is_help=True)

Shelf = Annotated[Path, typer.Option("--dir", help="where models are kept")]
_HERE = Path(".scoring/model")
_FIGURES = ("auc", "average_precision", "card_precision_100", "ece")


def _shelf(directory: Path) -> Any:
    from scoring.adapters.model_shelf import ModelShelf

    return ModelShelf(directory)


@app.command("list")
def list_(directory: Shelf = _HERE) -> None:
    """List the models and their figures on rows that they never saw."""
    from rich.console import Console
    from rich.table import Table

    shelf = _shelf(directory)
    champion = shelf.promoted()
    table = Table("model", "", "features", "trained on", *_FIGURES)
    for manifest in shelf.versions():
        table.add_row(
            manifest.version,
            "promoted" if manifest.version == champion else "",
            manifest.features_version,
            f"{manifest.training.rows:,} rows",
            *(_cell(manifest.metrics.get(name)) for name in _FIGURES),
        )
    Console(width=120).print(table)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


@app.command()
def show(version: str, directory: Shelf = _HERE) -> None:
    """Print a model's manifest."""
    typer.echo(_shelf(directory).manifest(version).to_json())


@app.command()
def promote(version: str, directory: Shelf = _HERE) -> None:
    """Make a model decide, once it has proved itself loadable."""
    from scoring.adapters.onnx_model import load_model

    shelf = _shelf(directory)
    load_model(shelf.path(version))
    shelf.promote(version)
    typer.echo(f"{version} is promoted; running services take it within seconds")


@app.command()
def rollback(directory: Shelf = _HERE) -> None:
    """Let the model before this one decide again."""
    typer.echo(f"{_shelf(directory).rollback()} is promoted again")


@app.command()
def compare(first: str, second: str, directory: Shelf = _HERE) -> None:
    """Set two models' figures and settings side by side."""
    from rich.console import Console
    from rich.table import Table

    shelf = _shelf(directory)
    a, b = shelf.manifest(first), shelf.manifest(second)
    table = Table("", first, second)
    for name in sorted(a.metrics.keys() | b.metrics.keys()):
        table.add_row(name, _cell(a.metrics.get(name)), _cell(b.metrics.get(name)))
    for name, left, right in _differences(a, b):
        table.add_row(name, left, right)
    Console(width=100).print(table)


def _differences(a: Manifest, b: Manifest) -> list[tuple[str, str, str]]:
    left, right = a.training.parameters, b.training.parameters
    rows = [
        ("features", a.features_version, b.features_version),
        ("fitted span", _span(a), _span(b)),
        *(
            (name, str(left.get(name, "-")), str(right.get(name, "-")))
            for name in sorted(left.keys() | right.keys())
        ),
    ]
    return [row for row in rows if row[1] != row[2]]


def _span(manifest: Manifest) -> str:
    days = (manifest.training.until_ms - manifest.training.from_ms) / 86_400_000
    return f"{days:.1f} days"
