"""`scoring archive`: keep the decisions and labels topics in Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.settings import Settings
    from scoring.tables.row_accounting import RowAccount


def archive(
    directory: Annotated[
        Path | None, typer.Argument(help="Default: SCORING_ARCHIVE_DIR.")
    ] = None,
) -> None:
    """Archive the new records of the topics, then end; run it daily.

    Every record is kept or refused, and the refused ones are listed. Exit status: 0 no
    record was refused, 1 some were, and the others are kept, 2 nothing was taken.
    """
    import asyncio

    from scoring.errors import BadArtifact
    from scoring.history.watch import watched
    from scoring.history.wiring import archive_from, update_archive
    from scoring.settings import Settings
    from scoring.tables.row_accounting import RowAccount

    settings = Settings()
    if directory is None and settings.archive_dir is None:
        raise BadArtifact("name a directory, or set SCORING_ARCHIVE_DIR")
    if not settings.kafka_bootstrap:
        raise BadArtifact("SCORING_KAFKA_BOOTSTRAP is not set: name your brokers")
    chosen, account = archive_from(settings, directory), RowAccount()
    with watched() as progress:
        taken = asyncio.run(update_archive(settings, chosen, progress, account))
    typer.echo(f"{chosen.directory}: {taken}")
    if say_refused(account, chosen.directory, settings):
        raise typer.Exit(1)


def say_refused(account: RowAccount, directory: Path, settings: Settings) -> bool:
    """Say which records are none of ours and list them; whether there are any.

    Every command that brings an archive up to date says so: none reads them again.
    """
    from scoring.replay.learn import left_out_of
    from scoring.replay.screen import print_account

    if account.refused:
        print_account(account, left_out_of(directory, settings))
    return bool(account.refused)
