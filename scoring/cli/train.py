"""`scoring train`: a table of labelled transactions becomes a model bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scoring.core.model.bundle import Manifest

_DAY_MS = 86_400_000
_DELAY_DAYS = 7  # how late most chargebacks are known by


def train(  # noqa: PLR0913 one parameter an option
    table: Annotated[
        Path | None,
        typer.Argument(
            help="Parquet, CSV or JSON lines, or an archive; none: simulate one"
        ),
    ] = None,
    *,
    mapping: Annotated[
        str,
        typer.Option(help="which column is which: a file, or handbook; else guessed"),
    ] = "",
    out: Annotated[
        str,
        typer.Option(
            help="where models are kept: a directory or a URL; default: "
            "SCORING_MODEL_URL, else SCORING_MODEL_DIR, as the services"
        ),
    ] = "",
    features: Annotated[
        Path | None,
        typer.Option(
            help="feature definitions; default: SCORING_FEATURES_FILE, or the shipped"
        ),
    ] = None,
    label_delay_days: Annotated[
        float | None,
        typer.Option(
            min=0, help="a fraud is known that much later; else the mapping's, or 7"
        ),
    ] = None,
    legitimate_after_days: Annotated[
        float | None,
        typer.Option(
            min=0, help="archive: a payment without a label is legitimate after so many"
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=10_000)] = 300,
    depth: Annotated[int, typer.Option(min=1, max=12)] = 4,
    rate: Annotated[float, typer.Option(min=0.001, max=1)] = 0.05,
    tune: Annotated[
        bool, typer.Option("--tune", help="choose the settings by earlier weeks")
    ] = False,
    second_look: Annotated[
        bool, typer.Option("--second-look", help="a larger model for scores in doubt")
    ] = False,
    seed: int = 0,
) -> None:
    """Train, calibrate, judge and pack a model; the first one is promoted.

    It is signed where SCORING_MODEL_SIGNING_FILE names a key.
    """
    from scoring.cli.models import shelf_at
    from scoring.training.build import Recipe, train_on
    from scoring.training.card import write_card
    from scoring.training.fit import Boosting
    from scoring.training.progress import bar
    from scoring.training.second_look import SecondLook
    from scoring.training.train import dataset_of
    from scoring.training.tune import CANDIDATES

    signer = _signer()
    shelf = shelf_at(out)
    with bar() as report, shelf.draft() as draft:
        catalogue = _catalogue(features)
        days = (label_delay_days, legitimate_after_days)
        rows, label_delay_ms = _rows(
            table, mapping, days, catalogue, seed=seed, report=report
        )
        recipe = Recipe(
            candidates=CANDIDATES if tune else (),
            boosting=Boosting(rounds=rounds, rate=rate, depth_max=depth),
            second_look=SecondLook() if second_look else None,
            label_delay_ms=label_delay_ms,
            seed=seed,
        )
        dataset = dataset_of(
            rows,
            catalogue,
            label_delay_ms=recipe.label_delay_ms,
            report=report,
        )
        manifest = train_on(
            dataset, draft, catalogue=catalogue, recipe=recipe, report=report
        )
        write_card(draft, dataset)
        if signer:
            signer.sign(draft)
        promoted = shelf.add(draft, manifest.version)
    _summary(manifest, shelf.place, promoted=promoted)
    if second_look:
        _second_look(manifest)


def _second_look(manifest: Manifest) -> None:
    deeper = manifest.deeper
    if deeper is None:
        typer.echo(
            "no second look: on earlier rows the larger model ranked no better "
            "(training.selection in the manifest)"
        )
        return
    share = deeper.metrics["looked_at_again"] or 0.0
    typer.echo(
        f"second look: at scores from {deeper.band.low:.4g} to {deeper.band.high:.4g}, "
        f"{share:.1%} of the later transactions"
    )


def _rows(
    path: Path | None,
    mapping: str,
    days: tuple[float | None, float | None],
    catalogue: Any,
    *,
    seed: int,
    report: Any,
) -> tuple[Any, int]:
    """The labelled rows as a pyarrow table of our fields, and their label delay, ms.

    `days`: how late a label may be, and an archive's silence that means legitimate.
    """
    delay_ms, legitimate_ms = (None if d is None else int(d * _DAY_MS) for d in days)
    if path is not None and path.is_dir():
        return _archived(path, catalogue, delay_ms, legitimate_ms)
    if path is not None:
        return _mapped(path, mapping, delay_ms)
    from scoring.training.simulation.simulate import World, simulate

    world = World(seed=seed, days=60, customers=2_000, terminals=4_000, radius=8.0)
    if delay_ms is None:
        delay_ms = _DELAY_DAYS * _DAY_MS
    return simulate(world, report=report), delay_ms


def _archived(
    path: Path, catalogue: Any, delay_ms: int | None, legitimate_after_ms: int | None
) -> tuple[Any, int]:
    """Our own decisions with their labels, and how late a label may be, ms."""
    from scoring.history.archive import Archive
    from scoring.history.examples import examples
    from scoring.settings import Settings

    found = examples(
        Archive(path),
        catalogue,
        lateness_ms=Settings().lateness_s * 1_000,
        label_delay_ms=delay_ms,
        legitimate_after_ms=legitimate_after_ms,
    )
    for line in found.lines():
        typer.echo(f"· {line}", err=True)
    return found.table, found.label_delay_ms


def _mapped(path: Path, mapping: str, delay_ms: int | None) -> tuple[Any, int]:
    """Any table, its columns named by a mapping, which also tells the label delay."""
    from scoring.replay.offline import labelled_transactions_of
    from scoring.settings import Settings
    from scoring.tables.describe import chosen_mapping
    from scoring.tables.table import Table

    def told(text: str) -> None:
        typer.echo(f"· {text}", err=True)

    chosen = chosen_mapping(path, mapping, told=told)
    if delay_ms is None:
        delay_ms = chosen.label_delay_ms
    table = Table(path, chosen, exempt=Settings().numeric_ids)
    rows = labelled_transactions_of(table, label_delay_ms=delay_ms)
    for line in table.account.lines():
        told(line)
    return rows, delay_ms


def _signer() -> Any:
    """What signs the model, read before the work of training; None: nothing does."""
    from scoring.models.signature import Signer
    from scoring.settings import Settings

    key = Settings().model_signing_file
    return Signer.from_file(key) if key else None


def _catalogue(path: Path | None) -> Any:
    from scoring.settings import Settings
    from scoring.wiring.definitions import catalogue_from

    settings = Settings()
    if path is not None:
        settings = settings.model_copy(update={"features_file": path})
    return catalogue_from(settings)


def _summary(manifest: Manifest, place: str, *, promoted: bool) -> None:
    from scoring.models.remote_registry import is_url

    def figure(name: str) -> str:
        value = manifest.metrics.get(name)
        return "-" if value is None else f"{value:.3f}"

    typer.echo(
        f"model {manifest.version}: AUC {figure('auc')}, "
        f"average precision {figure('average_precision')}, "
        f"card precision@100 {figure('card_precision_100')} "
        f"on {manifest.metrics.get('rows', 0):,.0f} later transactions"
    )
    typer.echo(f"card: {place}/{manifest.version}/card.md")
    if not promoted:
        typer.echo(f"promote it with: scoring models promote {manifest.version}")
        return
    setting = "SCORING_MODEL_URL" if is_url(place) else "SCORING_MODEL_DIR"
    typer.echo(f"promoted: serve it with {setting}={place}")
