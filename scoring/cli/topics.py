"""`scoring topics`: create the topics, and check that they keep the guarantees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.kafka.topic_layout import Needs, TopicDescription
    from scoring.settings import Settings

app = typer.Typer(help="Create and check the Kafka topics.", no_args_is_help=True)
_MS_PER_S = 1_000
_MS_PER_DAY = 86_400_000
_LABEL_DELAY_DAYS = 30


@app.command()
def create(
    partitions: Annotated[
        int, typer.Option(min=1, max=4_096, help="Of every topic; the most workers.")
    ] = 4,
    replication: Annotated[
        int, typer.Option(min=1, max=9, help="3 in production.")
    ] = 1,
    label_delay_days: Annotated[
        int, typer.Option(min=0, help="How late a label may come.")
    ] = _LABEL_DELAY_DAYS,
) -> None:
    """Create what is missing, then check everything."""
    import asyncio

    from scoring.kafka.topic_layout import TopicLayout
    from scoring.settings import Settings

    layout = TopicLayout(partitions=partitions, replication=replication)
    asyncio.run(_run(Settings(), layout, label_delay_days))


@app.command()
def check(
    label_delay_days: Annotated[
        int, typer.Option(min=0, help="How late a label may come.")
    ] = _LABEL_DELAY_DAYS,
) -> None:
    """Say what breaks a guarantee; exit status 1 when anything does."""
    import asyncio

    from scoring.settings import Settings

    asyncio.run(_run(Settings(), None, label_delay_days))


@app.command()
def schemas(
    directory: Annotated[Path, typer.Argument(help="Where to; it is created.")],
) -> None:
    """Write what the topics hold: descriptors, JSON Schemas, an AsyncAPI document."""
    from scoring.kafka import async_api
    from scoring.wire.schemas import published

    directory.mkdir(parents=True, exist_ok=True)
    files = {**published(), async_api.FILE: async_api.rendered}
    for name, content in files.items():
        (directory / name).write_bytes(content())
        typer.echo(str(directory / name))


async def _run(settings: Settings, layout: object, label_delay_days: int) -> None:
    from scoring.errors import BadArtifact
    from scoring.kafka.client_options import client_options
    from scoring.kafka.key_sample import sampled_keys
    from scoring.kafka.topic_admin import TopicAdmin
    from scoring.kafka.topic_layout import TopicLayout, faults
    from scoring.kafka.topic_names import Topics

    if not settings.kafka_bootstrap:
        raise BadArtifact("SCORING_KAFKA_BOOTSTRAP is not set: name your brokers")
    topics = Topics(settings.topic_prefix)
    options = client_options(settings.kafka_options)
    async with TopicAdmin(settings.kafka_bootstrap, options) as admin:
        if isinstance(layout, TopicLayout):
            for name in await admin.create(topics, layout):
                typer.echo(f"created {name}")
        found = await admin.found((*topics.all, *topics.controlled))
        remade = await admin.remade(topics.group, found)
    broken = faults(topics, found, _needs(settings, label_delay_days))
    _show(
        [topic for topic in found.values() if topic.exists or topic.name in topics.all]
    )
    if count := found[topics.transactions].partitions:
        keys = await sampled_keys(
            settings.kafka_bootstrap, topics.transactions, count, options=options
        )
        typer.echo(str(keys))
    for line in remade:
        typer.secho(f"! {line}", fg=typer.colors.YELLOW, err=True)
    for fault in broken:
        typer.secho(f"✗ {fault}", fg=typer.colors.RED, err=True)
    if broken:
        raise typer.Exit(1)
    typer.echo("every guarantee holds")


def _needs(settings: Settings, label_delay_days: int) -> Needs:
    from scoring.kafka.topic_layout import Needs
    from scoring.wiring.definitions import catalogue_from

    features = catalogue_from(settings).features.values()
    longest_ms = max((f.window_ms or 0 for f in features), default=0)
    lateness_ms = settings.lateness_s * _MS_PER_S
    return Needs(
        dedupe_ms=settings.dedupe_s * _MS_PER_S,
        rebuild_ms=0
        if settings.archive_dir
        else longest_ms + lateness_ms + label_delay_days * _MS_PER_DAY,
        control=settings.policy_from == "control",
    )


def _show(found: Sequence[TopicDescription]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("topic", "partitions", "replicas", "retention", "clean-up")
    for topic in found:
        kept_ms = topic.retention_ms
        table.add_row(
            topic.name,
            str(topic.partitions),
            str(topic.replication),
            _kept(kept_ms),
            topic.configs.get("cleanup.policy", "?"),
        )
    Console().print(table)


def _kept(ms: int | None) -> str:
    """How long records are kept.

    >>> _kept(None), _kept(-1), _kept(3_600_000)
    ('?', 'for ever', '1 h')
    """
    if ms is None:
        return "?"
    if ms < 0:
        return "for ever"
    return f"{ms / 3_600_000:g} h" if ms < _MS_PER_DAY else f"{ms / _MS_PER_DAY:g} d"
