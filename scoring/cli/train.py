"""`scoring train`: a table of labelled transactions becomes a model bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoring.cli.options.lifecycle import EventsFile, EventsMapping, events_at

if TYPE_CHECKING:
    from scoring.core.model.bundle import Manifest
    from scoring.replay.learn import Learned
    from scoring.tables.row_accounting import RowAccount
    from scoring.training.build import Recipe

_DAY_MS = 86_400_000
_DELAY_DAYS = 7  # how late most chargebacks are known by


def train(
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
    events: EventsFile = None,
    events_mapping: EventsMapping = None,
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
    strict: Annotated[
        bool, typer.Option("--strict", help="end at the first row that is refused")
    ] = False,
    encoding: Annotated[
        str, typer.Option(help="of the text, where no mapping says it: windows-1252")
    ] = "",
    seed: int = 0,
) -> None:
    """Train, calibrate, judge and pack a model; the first one is promoted.

    It is signed where SCORING_MODEL_SIGNING_FILE names a key. Every row is learned
    from, refused or skipped, as `scoring replay` has it. Exit status: 0 no row was
    refused, 1 some were, and the others made the model, 2 there is no model.
    """
    from scoring.training.build import Recipe
    from scoring.training.fit import Boosting
    from scoring.training.second_look import SecondLookPlan
    from scoring.training.tune import CANDIDATES

    days = (_ms(label_delay_days), _ms(legitimate_after_days))
    recipe = Recipe(
        candidates=CANDIDATES if tune else (),
        boosting=Boosting(rounds=rounds, rate=rate, depth_max=depth),
        second_look=SecondLookPlan() if second_look else None,
        seed=seed,
    )
    asked = Asked(
        table,
        mapping,
        encoding,
        *days,
        strict=strict,
        seed=seed,
        events=events,
        events_mapping=events_mapping,
    )
    if _trained(asked, recipe, out, features).refused:
        raise typer.Exit(1)


def _trained(
    asked: Asked, recipe: Recipe, out: str, features: Path | None
) -> RowAccount:
    """Add a model to the registry and say so; what became of the rows."""
    from scoring.cli.models import registry_at
    from scoring.training.build import train_on
    from scoring.training.card import write_card
    from scoring.training.progress import bar
    from scoring.training.train import dataset_of

    signer = _signer()
    registry = registry_at(out)
    events = events_at(asked.events, asked.events_mapping)
    with bar() as report, registry.draft() as draft:
        catalogue = _catalogue(features)
        found = _rows(asked, catalogue, report)
        recipe = replace(recipe, label_delay_ms=found.label_delay_ms)
        dataset = dataset_of(
            found.rows,
            catalogue,
            label_delay_ms=found.label_delay_ms,
            report=report,
            events=found.events if events is None else events,
        )
        manifest = train_on(
            dataset, draft, catalogue=catalogue, recipe=recipe, report=report
        )
        write_card(draft, dataset, levels=_levels(catalogue))
        if signer:
            signer.sign(draft)
        promoted = registry.add(draft, manifest.version)
    _summary(manifest, registry.place, promoted=promoted)
    if recipe.second_look:
        _second_look(manifest)
    return found.account


def _ms(days: float | None) -> int | None:
    return None if days is None else int(days * _DAY_MS)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows to learn from: a table with its mapping, an archive, or neither.

    `label_delay_ms` is how late a label may be, `legitimate_after_ms` an archive's
    silence that means legitimate.
    """

    path: Path | None
    mapping: str
    encoding: str
    label_delay_ms: int | None
    legitimate_after_ms: int | None
    strict: bool
    seed: int
    events: Path | None = None
    events_mapping: Path | None = None


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


def _rows(asked: Asked, catalogue: Any, report: Any) -> Learned:
    """The rows to learn from, and what became of the others."""
    from scoring.history.archive import is_archive
    from scoring.replay.learn import Learned, learned
    from scoring.settings import Settings
    from scoring.tables.choose import chosen_mapping
    from scoring.tables.row_accounting import RowAccount
    from scoring.training.simulation.simulate import World, simulate

    if asked.path is not None and is_archive(asked.path):
        return _archived(asked.path, asked, catalogue)
    if asked.path is not None:
        chosen = chosen_mapping(
            asked.path, asked.mapping, encoding=asked.encoding, told=_remark
        )
        return learned(
            asked.path,
            chosen,
            Settings(),
            label_delay_ms=asked.label_delay_ms,
            strict=asked.strict,
        )
    world = World(
        seed=asked.seed, days=60, customers=2_000, terminals=4_000, radius=8.0
    )
    delay_ms = asked.label_delay_ms
    if delay_ms is None:
        delay_ms = _DELAY_DAYS * _DAY_MS
    return Learned(simulate(world, report=report), delay_ms, RowAccount())


def _remark(text: str) -> None:
    typer.echo(f"· {text}", err=True)


def _archived(path: Path, asked: Asked, catalogue: Any) -> Learned:
    """Our own decisions with their labels, and how late a label may be, ms."""
    from scoring.history.archive import Archive
    from scoring.history.examples import examples
    from scoring.replay.learn import Learned, left_out_of
    from scoring.replay.screen import print_account
    from scoring.settings import Settings
    from scoring.tables.row_accounting import Place, RowAccount

    settings = Settings()
    found = examples(
        Archive(path),
        catalogue,
        lateness_ms=settings.lateness_s * 1_000,
        label_delay_ms=asked.label_delay_ms,
        legitimate_after_ms=asked.legitimate_after_ms,
    )
    for line in found.lines():
        _remark(line)
    account = RowAccount(rows=found.rows)
    for partition, offset, reason in found.left_out:
        account.skip(Place(f"decisions/{partition}", offset, "offset"), reason)
    print_account(account, left_out_of(path, settings))
    return Learned(found.table, found.label_delay_ms, account, found.events)


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


def _levels(catalogue: Any) -> Any:
    """The thresholds that the services decide by; None where their policy is not for
    these definitions.
    """
    from scoring.errors import BadArtifact
    from scoring.settings import Settings
    from scoring.wiring.definitions import policy_from

    try:
        return policy_from(Settings(), catalogue).file.thresholds.default
    except BadArtifact:
        return None


def _summary(manifest: Manifest, place: str, *, promoted: bool) -> None:
    from scoring.models.remote_registry import is_url

    def figure(name: str) -> str:
        value = manifest.metrics.get(name)
        return "-" if value is None else f"{value:.3f}"

    typer.echo(
        f"model {manifest.version}: AUC {figure('auc')}, "
        f"average precision {figure('average_precision')}, "
        f"card precision@100 {figure('card_precision_100')} "
        f"on {manifest.metrics.get('rows', 0):,.0f} later transactions, "
        f"{manifest.metrics.get('frauds', 0):,.0f} of them fraud"
    )
    typer.echo(f"card: {place}/{manifest.version}/card.md")
    if not promoted:
        typer.echo(f"promote it with: scoring models promote {manifest.version}")
        return
    setting = "SCORING_MODEL_URL" if is_url(place) else "SCORING_MODEL_DIR"
    typer.echo(f"promoted: serve it with {setting}={place}")
