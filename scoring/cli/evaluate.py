"""`scoring evaluate`: published results beside ours, on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from scoring.training.handbook.protocols import FoldQualities

_NAMES = ("auc", "average_precision", "card_precision_100")

app = typer.Typer(help="Compare with published results.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `handbook` a command of its own while it is the only one."""


@app.command()
def handbook(
    data: Annotated[Path, typer.Option(help="the Handbook's raw data")],
    *,
    protocol: Annotated[Literal["a", "b"], typer.Option()] = "b",
    window: Annotated[
        Literal["week", "long", "both"],
        typer.Option(help="what protocol b is trained on"),
    ] = "both",
    second_look: Annotated[
        bool, typer.Option("--second-look", help="protocol b: what looking again gives")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="end at the first row that is refused")
    ] = False,
) -> None:
    """Reproduce the Fraud Detection Handbook; the last line is one JSON object.

    The table is read as `scoring replay` reads it. Exit status: 0 no row was refused,
    1 some were, and the others are judged, 2 nothing can be judged.
    """
    from functools import partial

    from scoring.core.features.catalogue import handbook_catalogue
    from scoring.replay.learn import learned
    from scoring.settings import Settings
    from scoring.tables.mapping import shipped_mapping
    from scoring.training.dataset import refuse_leaks
    from scoring.training.handbook import protocols as book
    from scoring.training.handbook.second_look import second_look as looked
    from scoring.training.progress import bar
    from scoring.training.train import dataset_of

    found = learned(data, shipped_mapping("handbook"), Settings(), strict=strict)
    with bar() as report:
        dataset = dataset_of(
            found.rows,
            handbook_catalogue(),
            label_delay_ms=book.DELAY_DAYS * 86_400_000,
            report=report,
        )
        refuse_leaks(dataset)
        if protocol == "a":
            ours, extra = book.protocol_a(dataset, report=report)
        else:
            windows = ("week", "long") if window == "both" else (window,)
            ours, extra = book.protocol_b(
                dataset,
                windows=windows,
                report=report,
                beside=partial(looked, dataset, report=report) if second_look else None,
            )
    published = book.PUBLISHED_A if protocol == "a" else book.PUBLISHED_B
    _show(f"Handbook, protocol {protocol.upper()}", published, ours)
    _finish(protocol, published, ours, extra)
    if found.account.refused:
        raise typer.Exit(1)


def _show(title: str, published: Any, ours: dict[str, FoldQualities]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in ("model", "AUC", "average precision", "card precision@100", "fit"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in published:
        table.add_row(f"published: {row.model}", *(f"{x:.3f}" for x in row.figures))
    table.add_section()
    for name, outcome in ours.items():
        pairs = zip(outcome.figures(), outcome.spread(), strict=True)
        many = len(outcome.qualities) > 1
        cells = [f"{x:.3f} ± {s:.3f}" if many else f"{x:.3f}" for x, s in pairs]
        seconds = sum(outcome.fit_s) / len(outcome.fit_s)
        table.add_row(f"ours: {name}", *cells, f"{seconds:.1f} s")
    Console(width=100).print(table)
    typer.echo("Figures of a simulated world; they promise nothing for a real one.")


def _finish(
    protocol: str, published: Any, ours: dict[str, FoldQualities], extra: dict[str, Any]
) -> None:
    import json

    from scoring.training.handbook.protocols import CEILING

    line: dict[str, Any] = {
        "protocol": protocol,
        "published": {
            row.model: dict(zip(_NAMES, row.figures, strict=True)) for row in published
        },
        "ours": {name: _plain(outcome) for name, outcome in ours.items()},
    }
    for name, outcome in ours.items():
        # The ceiling is of protocol B's four folds; one week alone may lie above.
        above = any(x > c for x, c in zip(outcome.figures(), CEILING, strict=True))
        if protocol == "b" and above:
            typer.echo(f"{name}: above what can be known, {CEILING}: look for a leak")
    typer.echo(json.dumps(line | extra))


def _plain(outcome: FoldQualities) -> dict[str, Any]:
    """The figures with their 95 % intervals, as JSON takes them."""
    errors = [q.ece for q in outcome.qualities if q.ece is not None]
    figures = zip(_NAMES, outcome.figures(), strict=True)
    intervals = zip(_NAMES, outcome.intervals(), strict=False)
    return {
        **{name: round(x, 4) for name, x in figures},
        "interval": {name: [round(x, 4) for x in both] for name, both in intervals},
        "ece": round(sum(errors) / len(errors), 6),
        "fit_s": round(sum(outcome.fit_s) / len(outcome.fit_s), 3),
    }
