"""`scoring serve`: the doors that answer as a process, or several on one port each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.doors.grpc.server import GrpcServer
    from scoring.doors.http.server import HttpServer
    from scoring.models.explainer import TreeExplainer
    from scoring.models.loader import ModelSource
    from scoring.settings import Settings
    from scoring.wiring.services import Service

_READY = "serving grpc on "
_HTTP_READY = "serving http on "
# A worker gets its grace for calls in flight and this for closing what it holds.
_CLOSING_S = 15.0


def serve(
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that share the port.")
    ] = 1,
    address: Annotated[
        str, typer.Option(help="host:port; port 0: any. Default: the setting.")
    ] = "",
    http: Annotated[
        str, typer.Option(help="host:port of the HTTP door. Default: the setting.")
    ] = "",
    worker: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Serve checks over gRPC, and HTTP where it has an address, until SIGTERM.

    Then it drains. Settings come from the environment (SCORING_…). Prints `serving
    grpc on host:port` once it can answer.
    """
    import logging
    import os

    from scoring.settings import Settings
    from scoring.telemetry.logs import begin_logs

    # Before gRPC is imported: its own logs repeat bytes that a caller sent.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    settings = Settings()
    begin_logs(settings.log_format, settings.log_level)
    if address:
        settings = settings.model_copy(update={"grpc_address": address})
    if http:
        settings = settings.model_copy(update={"http_address": http})
    if workers > 1:
        _supervise(settings, workers)
    else:
        _serve(settings, worker)


def _supervise(settings: Settings, workers: int) -> None:
    import asyncio
    import sys
    from contextlib import ExitStack

    from scoring.doors.calls.addresses import reserved
    from scoring.doors.grpc.listening import leaving_s
    from scoring.wiring.process_supervisor import Workers

    with ExitStack() as stack:
        grpc = stack.enter_context(reserved(settings.grpc_address))
        http = settings.http_address
        if http:
            http = stack.enter_context(reserved(http))
        command = (
            *(sys.executable, "-m", "scoring", "serve"),
            *(f"--address={grpc}", f"--http={http}", "--worker"),
        )
        drains_s = (
            settings.drain_notice_s
            + leaving_s(settings.grpc_connection_age_s)
            + settings.drain_s
        )
        supervisor = Workers(command, workers, drains_s + _CLOSING_S, ready_line=_READY)
        code = asyncio.run(supervisor.run())
    raise typer.Exit(code)


def _serve(settings: Settings, worker: int) -> None:
    import asyncio

    import uvloop

    from scoring.wiring.process_supervisor import end_with_parent, import_behind

    if worker >= 0:
        end_with_parent()
        import_behind(["scoring.wiring.services", "scoring.wiring.grpc_app"])
    if settings.metrics_port and worker > 0:
        # Each worker has metrics of its own, on ports counted up.
        port = settings.metrics_port + worker
        settings = settings.model_copy(update={"metrics_port": port})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_told(settings, worker))


def _say_briefly(_loop: object, context: dict[str, object]) -> None:
    """One line and no values: what a caller sent may be in the exception."""
    import logging

    error = context.get("exception")
    kind = type(error).__name__ if error else "no exception"
    logging.getLogger(__name__).error(
        "scoring serve: %s: %s", *(context["message"], kind), extra={"cause": kind}
    )


async def _serve_until_told(settings: Settings, worker: int) -> None:
    import asyncio
    import signal
    from functools import partial

    from scoring.doors.calls.serving import serve_until
    from scoring.ports.patience import StorePatience
    from scoring.wiring.lifecycle import Lifecycle
    from scoring.wiring.process_supervisor import frozen
    from scoring.wiring.services import service_from

    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_say_briefly)
    # Before anything is loaded: a signal during start-up is a drain, not a kill.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    name = f"grpc-{max(worker, 0)}"
    life = Lifecycle("serve", max(worker, 0))
    async with service_from(
        settings, name=name, patience=StorePatience.ANSWER_IN_TIME
    ) as service:
        life.starts(service.scorer.artifacts)
        grpc, http = _doors(service, shares_port=worker >= 0)

        def ready() -> None:
            service.liveness.waits_for = ""
            life.ready(grpc=grpc.address, http=http.address if http else "")
            _say_ready(grpc, None if worker > 0 else http)  # they share the port

        with frozen():
            await serve_until(
                [grpc] if http is None else [grpc, http],
                partial(life.until, partial(service.until, told.wait)),
                ready=ready,
                notice_s=settings.drain_notice_s,
                grace_s=settings.drain_s,
            )
    life.ended()


def _say_ready(grpc: GrpcServer, http: HttpServer | None) -> None:
    if http is not None:
        typer.echo(f"{_HTTP_READY}{http.address}")
    typer.echo(f"{_READY}{grpc.address}")
    if grpc.health_address:
        typer.echo(f"serving health on {grpc.health_address}")


def _doors(
    service: Service, *, shares_port: bool
) -> tuple[GrpcServer, HttpServer | None]:
    from functools import partial

    from scoring.wiring.calls import calls_from
    from scoring.wiring.grpc_app import grpc_door_from
    from scoring.wiring.services import models_from

    calls = calls_from(service, partial(_explainer, models_from(service.settings)))
    grpc = grpc_door_from(service, calls, shares_port=shares_port)
    if not service.settings.http_address:
        return grpc, None
    from scoring.wiring.http_app import http_door_from

    return grpc, http_door_from(service, calls, shares_port=shares_port)


def _explainer(source: ModelSource, version: str) -> TreeExplainer:
    """The explainer of any version that is still kept; blocks.

    Raises `ImportError` without xgboost, `BadArtifact` where it is not there.
    """
    from scoring.models.explainer import TreeExplainer

    return TreeExplainer.from_bundle(source.bundle(version))
