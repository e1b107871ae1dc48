"""`scoring features`: what is known about a payment; whether a file is right."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.core.features.catalogue import Catalogue
    from scoring.history.audit import Audit

_WIDE = 120  # columns of a terminal in which whole sentences stay readable

app = typer.Typer(help="Feature definitions: show them, check a file.")

_FILE = Annotated[
    Path | None,
    typer.Argument(help="Definitions; default: SCORING_FEATURES_FILE, or the shipped."),
]


@app.command()
def describe(
    file: _FILE = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As the documentation page.")
    ] = False,
) -> None:
    """Print every feature: entity, window, unit, default and what it costs."""
    from scoring.core.features.catalogue_page import as_markdown, rows

    catalogue = _load(file)
    if markdown:
        typer.echo(as_markdown(catalogue), nl=False)
        return
    _show(f"{catalogue.name} {catalogue.version}", rows(catalogue))


def _show(title: str, listed: list[tuple[str, ...]], *, wide: bool = True) -> None:
    """Print the table; where the terminal is narrow, without what explains most."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    narrow = wide and console.width < _WIDE
    box = None if narrow else SIMPLE_HEAD
    table = Table(title=title, box=box, pad_edge=False)
    for heading in listed[0][: -1 if narrow else None]:
        table.add_column(
            heading, overflow="fold", no_wrap=heading in {"name", "entity"}
        )
    for row in listed[1:]:
        table.add_row(*(row[:-1] if narrow else row))
    console.print(table)
    if narrow:
        console.print(f"A terminal of {_WIDE} columns shows what each means, too.")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The definitions to check.")],
) -> None:
    """Refuse a file with line, field and remedy; say what it costs. Exit 2: refused."""
    from scoring.history.feature_costs import MEASURED, PAID, UNMEASURED, costs, table

    catalogue = _load(file)
    typer.echo(
        f"{file}: {len(catalogue.names)} features, version {catalogue.version}, "
        f"{catalogue.stored_count} stored numbers"
    )
    found = costs(catalogue) if catalogue.plans else []
    if found:
        measured = found[0].payment_us is not None
        _show("What a payment costs", table(found), wide=False)
        typer.echo(f"{MEASURED if measured else UNMEASURED}. {PAID}")


class PaymentKind(StrEnum):
    """What payments a shipped catalogue is for."""

    CARDS = "cards"
    ECOMMERCE = "ecommerce"
    POS = "pos"
    ACCOUNT_TO_ACCOUNT = "account-to-account"


@app.command()
def shipped(
    *,
    kind: Annotated[
        PaymentKind, typer.Option("--for", help="What payments it is to be for.")
    ] = PaymentKind.CARDS,
) -> None:
    """Print shipped definitions, to start yours from; `cards` is the default's."""
    from importlib import resources

    name = "features" if kind is PaymentKind.CARDS else f"features-{kind}"
    text = resources.files("scoring.defaults").joinpath(f"{name}.yaml").read_text()
    typer.echo(text, nl=False)


def _load(file: Path | None) -> Catalogue:
    from scoring.settings import Settings
    from scoring.wiring.definitions import catalogue_from

    settings = Settings()
    if file is not None:
        settings = settings.model_copy(update={"features_file": file})
    return catalogue_from(settings)


@app.command()
def audit(
    archive: Annotated[
        Path | None, typer.Option(help="Default: SCORING_ARCHIVE_DIR.")
    ] = None,
    *,
    sample: Annotated[int, typer.Option(min=1, help="Decisions to compare.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Which sample.")] = 0,
) -> None:
    """Recompute logged vectors offline; exit 1 if serving computed other values."""
    import asyncio

    from scoring.cli.archive import say_refused
    from scoring.history.audit import Sample
    from scoring.history.audit import audit as audited
    from scoring.history.watch import watched
    from scoring.history.wiring import archive_from, terms_from, update_archive
    from scoring.settings import Settings
    from scoring.tables.row_accounting import RowAccount
    from scoring.wiring.definitions import catalogue_from

    settings = Settings()
    source, account = archive_from(settings, archive), RowAccount()
    with watched() as progress:
        asyncio.run(update_archive(settings, source, progress, account))
        say_refused(account, source.directory, settings)
        found = audited(
            source,
            catalogue_from(settings),
            lateness_ms=terms_from(settings).lateness_ms,
            sample=Sample(sample, seed),
            progress=progress,
        )
    _report(found)
    if found.mismatches or not found.compared:
        raise typer.Exit(1)


def _report(found: Audit) -> None:
    from rich.console import Console
    from rich.table import Table

    for why, count in found.passed_over.items():
        typer.echo(f"passed over: {count:,} {why}")
    if found.mismatches:
        table = Table("feature", "mismatches", "transaction", "served", "recomputed")
        for m in sorted(found.mismatches, key=lambda m: -m.count):
            numbers = (f"{m.served:g}", f"{m.recomputed:g}")
            table.add_row(m.feature, f"{m.count:,}", m.transaction_id, *numbers)
        Console().print(table)
    wrong = sum(m.count for m in found.mismatches)
    typer.echo(
        f"{found.compared:,} decisions, {found.cells:,} cells compared, "
        f"{wrong:,} differ; {found.inexact:,} are flagged as inexact"
    )
