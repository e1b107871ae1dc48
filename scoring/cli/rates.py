"""`scoring rates`: whether a file of exchange rates is right, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.core.features.rates import Dated, Rates

app = typer.Typer(help="Exchange rates: check a file, show what it says.")

_FILE = Annotated[
    Path | None,
    typer.Argument(help="Rates; default: SCORING_RATES_FILE, or the shipped."),
]


@app.command()
def check(
    file: _FILE = None,
    day: Annotated[
        str, typer.Option("--day", help="Also the version of a day, 2026-11-30.")
    ] = "",
) -> None:
    """Refuse a file with line, column and remedy; exit 2 when it is refused."""
    from scoring.core.features.rates_file import doubts

    rates = _load(file)
    for doubt in doubts(rates):
        typer.echo(f"{file or 'rates'}: remark: {doubt}")
    rows = sum(len(own.starts) for own in rates.by_currency.values()) - 1
    typer.echo(
        f"{file or 'rates'}: {rows:,} rates of {len(rates.by_currency) - 1} currencies "
        f"to {rates.reference}, version {rates.version}"
    )
    if day:
        from scoring.core.features.rates_file import day_ms

        try:
            at_ms = day_ms(day)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        typer.echo(f"decisions on payments of {day} name {rates.version_at(at_ms)}")


@app.command()
def show(file: _FILE = None) -> None:
    """Print each currency: its newest rate, since when, and its largest step.

    A step of more than a few percent from one row to the next is seldom meant.
    """
    from rich.console import Console
    from rich.table import Table

    rates = _load(file)
    table = Table("currency", f"1 is so many {rates.reference}", "from", "largest step")
    for code, dated in sorted(rates.by_currency.items()):
        if code != rates.reference:
            table.add_row(code, *_cells(rates, code, dated))
    Console().print(table)


def _cells(rates: Rates, code: str, dated: Dated) -> tuple[str, str, str]:
    from datetime import UTC, datetime

    from scoring.core.features.rates_file import in_units

    newest = f"{in_units(dated.newest, code, rates.reference):.10g}"
    since = datetime.fromtimestamp(dated.newest_ms / 1_000, UTC).date().isoformat()
    pairs = zip(dated.rates, dated.rates[1:], strict=False)
    step = max((abs(later / rate - 1) for rate, later in pairs), default=0.0)
    return newest, since, f"{step:.1%}" if step else ""


def _load(file: Path | None) -> Rates:
    from scoring.settings import Settings
    from scoring.wiring.definitions import catalogue_from

    settings = Settings()
    if file is not None:
        settings = settings.model_copy(update={"rates_file": file})
    return catalogue_from(settings).exchange.rates
