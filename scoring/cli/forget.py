"""`scoring forget`: erase what is kept of a card, a customer, a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.history.forget import Forgotten
    from scoring.history.topic_archiver import Progress
    from scoring.settings import Settings


def forget(
    entity: Annotated[str, typer.Argument(help="KIND:TOKEN, such as card:c-4711.")],
    *,
    tenant: Annotated[str, typer.Option(help="Whose it is.")] = "default",
    archive: Annotated[
        Path | None, typer.Option(help="Default: SCORING_ARCHIVE_DIR.")
    ] = None,
) -> None:
    """Erase an entity's state and decisions, mask it in the archive, say what stays."""
    import asyncio

    from scoring.history.watch import watched
    from scoring.settings import Settings

    settings = Settings()
    with watched() as progress:
        forgotten = asyncio.run(_run(settings, entity, tenant, archive, progress))
    typer.echo(str(forgotten))


async def _run(
    settings: Settings,
    entity: str,
    tenant: str,
    directory: Path | None,
    progress: Progress,
) -> Forgotten:
    from scoring.cli.archive import say_refused
    from scoring.history.forget import forget, named_entity
    from scoring.history.wiring import archive_from, store_to_fill, update_archive
    from scoring.kafka.client_options import client_options
    from scoring.kafka.topic_admin import TopicAdmin
    from scoring.kafka.topic_names import Topics
    from scoring.tables.row_accounting import RowAccount
    from scoring.wiring.definitions import catalogue_from

    catalogue = catalogue_from(settings)
    named = named_entity(entity, tenant, catalogue)
    source, account = archive_from(settings, directory), RowAccount()
    await update_archive(settings, source, progress, account)
    say_refused(account, source.directory, settings)
    async with store_to_fill(settings, catalogue) as store:
        forgotten = await forget(named, source, store, catalogue, progress)
    if settings.kafka_bootstrap:
        topics = Topics(settings.topic_prefix)
        options = client_options(settings.kafka_options)
        async with TopicAdmin(settings.kafka_bootstrap, options) as admin:
            found = await admin.found(topics.all)
        forgotten.topics = {name: t.retention_ms for name, t in found.items()}
    return forgotten
