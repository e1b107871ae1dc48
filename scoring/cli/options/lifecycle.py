"""Options of the commands that take lifecycle events beside a table of payments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

EventsFile = Annotated[
    Path | None,
    typer.Option(
        "--events",
        help="Lifecycle events of the payments: Parquet, CSV, JSON or an archive.",
    ),
]
EventsMapping = Annotated[
    Path | None,
    typer.Option("--events-mapping", help="Which column of --events is which."),
]


def events_at(path: Path | None, mapping: Path | None) -> Any:
    """The table of lifecycle events, None where none is named.

    Raises `BadArtifact` for what is no table of events.
    """
    if path is None:
        return None
    from scoring.history.archive import Archive, is_archive
    from scoring.history.examples import archived_events
    from scoring.tables.events import event_mapping, events_from

    if is_archive(path):
        return archived_events(Archive(path))
    return events_from(path, event_mapping(mapping))
