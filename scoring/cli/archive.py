"""`scoring archive`: keep the decisions and labels topics in Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def archive(
    directory: Annotated[
        Path | None, typer.Argument(help="Default: SCORING_ARCHIVE_DIR.")
    ] = None,
) -> None:
    """Take what the topics gained since the last time, then end; run it daily."""
    import asyncio

    from scoring.errors import BadArtifact
    from scoring.history.bring import archive_from, brought
    from scoring.history.watch import watched
    from scoring.settings import Settings

    settings = Settings()
    if directory is None and settings.archive_dir is None:
        raise BadArtifact("name a directory, or set SCORING_ARCHIVE_DIR")
    if not settings.kafka_bootstrap:
        raise BadArtifact("SCORING_KAFKA_BOOTSTRAP is not set: name your brokers")
    chosen = archive_from(settings, directory)
    with watched() as progress:
        taken = asyncio.run(brought(settings, chosen, progress))
    typer.echo(f"{chosen.directory}: {taken}")
