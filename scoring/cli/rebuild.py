"""`scoring rebuild`: fill a store from the log or the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.history.topic_archiver import Progress
    from scoring.settings import Settings

_FOLLOWS_EVERY_S = 1.0


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
    follow: Annotated[
        bool, typer.Option(help="With --features: keep them warm until Ctrl-C.")
    ] = False,
    wipe: Annotated[
        bool, typer.Option(help="Clear the namespace first; answers are degraded.")
    ] = False,
) -> None:
    """Restore every history and decision; after an interruption it resumes."""
    import asyncio
    import contextlib

    from scoring.errors import BadArtifact
    from scoring.history.watch import watched
    from scoring.settings import Settings

    if features and wipe:
        raise BadArtifact("--features warms beside the live keys: leave --wipe out")
    if follow and not features:
        raise BadArtifact("--follow keeps other definitions warm: name --features")
    settings = Settings()
    if features:
        settings = settings.model_copy(update={"features_file": features})
    with watched() as progress, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            _run(settings, archive, progress, beside=features is not None, wipe=wipe,
                 follow=follow)
        )  # fmt: skip


async def _run(
    settings: Settings,
    directory: Path | None,
    progress: Progress,
    *,
    beside: bool,
    wipe: bool,
    follow: bool,
) -> None:
    import asyncio
    from functools import partial

    from scoring.cli.archive import say_refused
    from scoring.history import wiring
    from scoring.history.archive import check
    from scoring.history.rebuild import Milestones, Rebuild
    from scoring.tables.row_accounting import RowAccount
    from scoring.wiring.definitions import catalogue_from
    from scoring.wiring.services import now_ms

    catalogue, terms = catalogue_from(settings), wiring.terms_from(settings)
    source, account = wiring.archive_from(settings, directory), RowAccount()
    source.prepare()
    name = f"rebuild-{settings.namespace}-{catalogue.version}"
    async with wiring.store_to_fill(settings, catalogue) as store:
        if wipe:
            check(source)
            await store.set_mark("wiped")
            await store.wipe()
        work = Rebuild(
            store=store,
            archive=source,
            catalogue=catalogue,
            lateness_ms=terms.lateness_ms,
            dedupe_ms=terms.dedupe_ms,
            now_ms=now_ms,
            take=partial(wiring.update_archive, settings, source, progress, account),
            milestones=Milestones.load(source.directory / f"{name}.json", name),
            marks=not beside,
            progress=progress,
        )
        typer.echo(str(await work.run()))
        say_refused(account, source.directory, settings)
        while follow:
            await work.follow()
            await asyncio.sleep(_FOLLOWS_EVERY_S)
