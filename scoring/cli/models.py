"""`scoring models`: list and compare models, sign them, promote one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scoring.core.model.bundle import Manifest
    from scoring.core.model.rivalry import Rivalry
    from scoring.settings import Settings

app = typer.Typer(help="List, sign, promote and compare models.", no_args_is_help=True)

RegistryPlace = Annotated[
    str,
    typer.Option(
        "--dir",
        help="where models are kept: a directory or a URL; default: SCORING_MODEL_URL, "
        "else SCORING_MODEL_DIR, as the services",
    ),
]
Mirror = Annotated[
    Path | None,
    typer.Option(
        help="copies of models that a URL keeps; default: .scoring/mirror, of the "
        "services' URL SCORING_MODEL_DIR"
    ),
]
_MIRROR = Path(".scoring/mirror")
_FIGURES = ("auc", "average_precision", "card_precision_100", "ece")


def registry_at(place: str, mirror: Path | None = None) -> Any:
    """The model registry in a directory, or at a URL with copies in `mirror`.

    Empty, it is the one that the services of this environment take their models from.
    """
    from scoring.models.registry import ModelRegistry
    from scoring.models.remote_registry import RemoteModelRegistry, is_url
    from scoring.settings import Settings

    settings = Settings()
    place = place or settings.model_url or str(settings.model_dir)
    if not is_url(place):
        return ModelRegistry(Path(place))
    served = place == settings.model_url
    return RemoteModelRegistry.at(
        place, mirror or (settings.model_dir if served else _MIRROR)
    )


@app.command("list")
def list_(directory: RegistryPlace = "") -> None:
    """List the models with their figures on rows that they were not trained on."""
    from rich.console import Console
    from rich.table import Table

    registry = registry_at(directory)
    champion = registry.promoted()
    found = registry.versions()
    if not found:
        typer.echo(f"{registry.place} holds no models yet")
        typer.echo(f"make one with: scoring train --out {registry.place}")
        return
    table = Table("model", "", "features", "trained on", *_FIGURES)
    for manifest in found:
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
def show(version: str, directory: RegistryPlace = "") -> None:
    """Print a model's manifest."""
    typer.echo(registry_at(directory).manifest(version).to_json())


@app.command()
def promote(
    version: str,
    directory: RegistryPlace = "",
    mirror: Mirror = None,
    trust: Annotated[
        Path | None,
        typer.Option(
            envvar="SCORING_MODEL_TRUST_FILE",
            help="PEM public keys: refuse what they did not sign",
        ),
    ] = None,
) -> None:
    """Make a model the champion, after loading and checking it."""
    from scoring.models.onnx_model import load_model
    from scoring.models.signature import Trust

    registry = registry_at(directory, mirror)
    keys = Trust.from_file(trust) if trust else None
    load_model(registry.path(version), trust=keys)
    registry.promote(version)
    typer.echo(f"{version} is promoted; running services take it within seconds")


@app.command()
def rollback(directory: RegistryPlace = "") -> None:
    """Make the previous champion decide again."""
    typer.echo(f"{registry_at(directory).rollback()} is promoted again")


@app.command()
def sign(
    version: str,
    directory: RegistryPlace = "",
    *,
    key: Annotated[
        Path,
        typer.Option(
            envvar="SCORING_MODEL_SIGNING_FILE", help="PEM private key, Ed25519"
        ),
    ],
) -> None:
    """Sign a model: services that trust the key will load it."""
    from scoring.models.signature import Signer

    registry_at(directory).sign(version, Signer.from_file(key))
    typer.echo(f"{version} is signed")


@app.command()
def push(
    version: str,
    to: Annotated[
        str, typer.Argument(help="the model registry to copy to, such as a URL")
    ],
    directory: RegistryPlace = "",
    mirror: Mirror = None,
) -> None:
    """Copy a model to another registry; the first one there is promoted."""
    import shutil

    source, target = registry_at(directory, mirror), registry_at(to)
    source.manifest(version)
    with target.draft() as draft:
        shutil.copytree(source.path(version), draft)
        promoted = target.add(draft, version)
    told = " and promoted there" if promoted else ""
    typer.echo(f"{version} is kept in {target.place}{told}")


@app.command()
def key(directory: Annotated[Path, typer.Argument(help="where the pair goes")]) -> None:
    """Make a pair of keys: one signs models, the other verifies them."""
    from scoring.models.signature import write_key_pair

    private, public = write_key_pair(directory)
    typer.echo(f"sign with SCORING_MODEL_SIGNING_FILE={private}; keep it secret")
    typer.echo(f"trust with SCORING_MODEL_TRUST_FILE={public}, on every service")


@app.command()
def compare(
    first: str,
    second: str,
    directory: RegistryPlace = "",
    *,
    days: Annotated[
        float, typer.Option(min=0.01, help="how far back decisions are read")
    ] = 7,
) -> None:
    """Compare two models: as trained and, with a broker, as they decided.

    What both said of the same transactions lies on the decisions topics once
    `scoring shadow` runs: agreement, changed outcomes, and the quality of each on
    the labels that arrived. The last line is then one JSON object.
    """
    _compare_trained(first, second, registry_at(directory))
    _compare_decided(first, second, days)


def _compare_trained(first: str, second: str, registry: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    a, b = registry.manifest(first), registry.manifest(second)
    table = Table("", first, second)
    for name in sorted(a.metrics.keys() | b.metrics.keys()):
        table.add_row(name, _cell(a.metrics.get(name)), _cell(b.metrics.get(name)))
    for name, left, right in _differences(a, b):
        table.add_row(name, left, right)
    Console(width=100).print(table)


def _compare_decided(first: str, second: str, days: float) -> None:
    import asyncio
    import json

    from rich.console import Console
    from rich.table import Table

    from scoring.settings import Settings
    from scoring.training.rivals import changes, qualities

    settings = Settings()
    if not settings.kafka_bootstrap:
        typer.echo("SCORING_KAFKA_BOOTSTRAP is not set: decisions are not compared")
        return
    both = asyncio.run(_decided(settings, first, second, days))
    own = [quality.as_dict() for quality in qualities(both)]
    table = Table("decided", first, second)
    for name in own[0]:
        table.add_row(name, *(_cell(quality.get(name)) for quality in own))
    for change, count in changes(both).items():
        table.add_row(change, "", f"{count:,}")
    Console(width=100).print(table)
    line = {
        "transactions": len(both),
        "agreement": both.agreement,
        "changes": changes(both),
        first: own[0],
        second: own[1],
    }
    typer.echo(json.dumps(line))


async def _decided(settings: Settings, first: str, second: str, days: float) -> Rivalry:
    from scoring.doors.stream.shadow_comparison import Rivals
    from scoring.kafka.client_options import client_options
    from scoring.kafka.topic_names import Topics
    from scoring.wiring.services import now_ms

    rivals = Rivals(
        bootstrap=settings.kafka_bootstrap,
        client=client_options(settings.kafka_options),
        topics=Topics(settings.topic_prefix),
    )
    until_ms = now_ms()
    since_ms = until_ms - int(days * 86_400_000)
    return await rivals.compared(first, second, since_ms=since_ms, until_ms=until_ms)


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
