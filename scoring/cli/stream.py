"""`scoring stream`: the stream door as a process, or several in one group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.history.search import ArchiveSearch
    from scoring.settings import Settings

_READY = "streaming from "
_CLOSING_S = 10.0  # to settle, commit and leave the group


def stream(
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes; at most the partitions.")
    ] = 1,
    worker: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Judge what arrives on the transactions topic until SIGTERM, then drain.

    Settings come from the environment (SCORING_…). Prints `streaming from TOPIC`
    once partitions are assigned. It ends with status 1 and one last line on
    anything unforeseen: run it under a supervisor, or with --workers.
    """
    import asyncio
    import os

    import uvloop

    from scoring.settings import Settings
    from scoring.telemetry.logs import begin_logs
    from scoring.wiring.process_supervisor import end_with_parent

    # Before gRPC is imported, which sends spans: its own logs are no lines of ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    settings = Settings()
    begin_logs(settings.log_format, settings.log_level)
    if workers > 1:
        _supervise(settings, workers)
        return
    if worker >= 0:
        end_with_parent()
    if settings.metrics_port and worker > 0:
        # Each worker has metrics of its own, on ports counted up.
        port = settings.metrics_port + worker
        settings = settings.model_copy(update={"metrics_port": port})
    # Faust's consumer thread makes its own loop, by the policy.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(_stream_until_told(settings, worker))


def _supervise(settings: Settings, workers: int) -> None:
    import asyncio
    import sys

    from scoring.wiring.process_supervisor import Workers

    command = (sys.executable, "-m", "scoring", "stream", "--worker")
    supervisor = Workers(
        command, workers, settings.drain_s + _CLOSING_S, ready_line=_READY
    )
    raise typer.Exit(asyncio.run(supervisor.run()))


def _archive_from(settings: Settings) -> ArchiveSearch | None:
    """The archive, for labels of payments that nothing else knows any more."""
    if settings.archive_dir is None:
        return None
    import logging

    try:
        from scoring.history.archive import Archive
        from scoring.history.search import ArchiveSearch
    except ImportError as error:
        logging.getLogger(__name__).warning(
            "labels are not looked for in the archive: %s is not installed", error.name
        )
        return None
    return ArchiveSearch(Archive(settings.archive_dir))


async def _stream_until_told(settings: Settings, worker: int) -> None:
    import asyncio
    import signal
    from functools import partial

    from scoring.wiring.lifecycle import Lifecycle
    from scoring.wiring.process_supervisor import frozen
    from scoring.wiring.services import service_from
    from scoring.wiring.stream_app import stream_door_from

    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Before anything is loaded: a signal during start-up is a drain, not a kill.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    name = f"stream-{max(worker, 0)}"
    life = Lifecycle("stream", max(worker, 0))
    async with service_from(settings, name=name, picks_target=True) as service:
        life.starts(service.scorer.artifacts)
        door = stream_door_from(service, archive=_archive_from(settings))

        def ready() -> None:
            service.liveness.waits_for = ""
            life.ready(topic=service.topics.transactions)
            typer.echo(f"{_READY}{service.topics.transactions}")

        with frozen():
            stop = partial(life.until, partial(service.until, told.wait))
            await door.run(stop, ready=ready)
    life.ended()
