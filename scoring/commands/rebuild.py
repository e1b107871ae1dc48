"""`scoring rebuild`: fill a store from the log or the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.history.rebuild import Rebuilt
    from scoring.history.take import Progress
    from scoring.settings import Settings


def rebuild(
    archive: Annotated[
        Path | None,
        typer.Option(help="Read this archive first. Default: SCORING_ARCHIVE_DIR."),
    ] = None,
    *,
    features: Annotated[
        Path | None,
        typer.Option(help="Warm the keys of these definitions beside the live ones."),
    ] = None,
    wipe: Annotated[
        bool, typer.Option(help="Clear the namespace first; answers are degraded.")
    ] = False,
) -> None:
    """Put back every history and decision; interrupted, it goes on where it was."""
    import asyncio

    from scoring.history.watch import watched
    from scoring.settings import Settings

    settings = Settings()
    with watched() as progress:
        rebuilt = asyncio.run(
            _run(settings, archive, progress, features=features, wipe=wipe)
        )
    typer.echo(str(rebuilt))


async def _run(
    settings: Settings,
    directory: Path | None,
    progress: Progress,
    *,
    features: Path | None,
    wipe: bool,
) -> Rebuilt:
    from functools import partial

    from scoring.bootstrap import catalogue_from, now_ms
    from scoring.errors import BadArtifact
    from scoring.history.bring import archive_from, brought, store_to_fill, terms_from
    from scoring.history.rebuild import Milestones, Rebuild

    if features and wipe:
        raise BadArtifact("--features warms beside the live keys: leave --wipe out")
    if features:
        settings = settings.model_copy(update={"features_file": features})
    catalogue, terms = catalogue_from(settings), terms_from(settings)
    source = archive_from(settings, directory)
    source.prepare()
    name = f"rebuild-{settings.namespace}-{catalogue.version}"
    async with store_to_fill(settings, catalogue) as store:
        if wipe:
            await store.set_mark("wiped")
            await store.wipe()
        work = Rebuild(
            store=store,
            archive=source,
            catalogue=catalogue,
            lateness_ms=terms.lateness_ms,
            dedupe_ms=terms.dedupe_ms,
            now_ms=now_ms,
            take=partial(brought, settings, source, progress),
            milestones=Milestones.load(source.directory / f"{name}.json", name),
            marks=features is None,
            progress=progress,
        )
        return await work.run()
