"""`scoring train`: a table of labelled transactions becomes a model bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scoring.core.bundle import Manifest


def train(  # noqa: PLR0913 one parameter an option
    table: Annotated[
        Path | None,
        typer.Argument(help="Parquet of our fields and `fraud`; none: simulate one"),
    ] = None,
    *,
    out: Annotated[
        str, typer.Option(help="where models are kept: a directory or a URL")
    ] = ".scoring/model",
    features: Annotated[
        Path | None, typer.Option(help="feature definitions; none: the shipped ones")
    ] = None,
    label_delay_days: Annotated[
        float, typer.Option(min=0, help="a fraud is known that much later")
    ] = 7,
    rounds: Annotated[int, typer.Option(min=1, max=10_000)] = 300,
    depth: Annotated[int, typer.Option(min=1, max=12)] = 4,
    rate: Annotated[float, typer.Option(min=0.001, max=1)] = 0.05,
    tune: Annotated[
        bool, typer.Option("--tune", help="choose the settings by earlier weeks")
    ] = False,
    seed: int = 0,
) -> None:
    """Train, calibrate, judge and pack a model; the first one is promoted.

    It is signed where SCORING_MODEL_SIGNING_FILE names a key.
    """
    from scoring.commands.models import shelf_at
    from scoring.training.build import Recipe, train_on
    from scoring.training.card import write_card
    from scoring.training.fit import Boosting
    from scoring.training.progress import bar
    from scoring.training.train import dataset_of
    from scoring.training.tune import CANDIDATES

    recipe = Recipe(
        candidates=CANDIDATES if tune else (),
        boosting=Boosting(rounds=rounds, rate=rate, depth_max=depth),
        label_delay_ms=int(label_delay_days * 86_400_000),
        seed=seed,
    )
    signer = _signer()
    shelf = shelf_at(out)
    with bar() as report, shelf.draft() as draft:
        dataset = dataset_of(
            _table(table, seed, report),
            catalogue := _catalogue(features),
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
    _summary(manifest, out, promoted=promoted)


def _table(path: Path | None, seed: int, report: Any) -> Any:
    import pyarrow.parquet as pq

    from scoring.errors import BadArtifact
    from scoring.training.simulate import World, simulate

    if path is None:
        world = World(seed=seed, days=60, customers=2_000, terminals=4_000, radius=8.0)
        return simulate(world, report=report)
    try:
        return pq.read_table(path)
    except (OSError, ValueError) as error:
        raise BadArtifact(f"{path}: cannot be read as Parquet: {error}") from error


def _signer() -> Any:
    """What signs the model, read before the work of training; None: nothing does."""
    from scoring.adapters.bundle_signature import Signer
    from scoring.settings import Settings

    key = Settings().model_signing_file
    return Signer.from_file(key) if key else None


def _catalogue(path: Path | None) -> Any:
    from scoring.core.catalogue import default_catalogue, load_catalogue

    if path is None:
        return default_catalogue()
    return load_catalogue(path.read_text(), name=str(path))


def _summary(manifest: Manifest, out: str, *, promoted: bool) -> None:
    from scoring.adapters.remote_shelf import is_url

    def figure(name: str) -> str:
        value = manifest.metrics.get(name)
        return "-" if value is None else f"{value:.3f}"

    typer.echo(
        f"model {manifest.version}: AUC {figure('auc')}, "
        f"average precision {figure('average_precision')}, "
        f"card precision@100 {figure('card_precision_100')} "
        f"on {manifest.metrics.get('rows', 0):,.0f} later transactions"
    )
    typer.echo(f"card: {out}/{manifest.version}/card.md")
    if not promoted:
        typer.echo(f"promote it with: scoring models promote {manifest.version}")
        return
    setting = "SCORING_MODEL_URL" if is_url(out) else "SCORING_MODEL_DIR"
    typer.echo(f"promoted: serve it with {setting}={out}")
