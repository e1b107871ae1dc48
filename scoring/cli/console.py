"""`scoring console`: the risk team's pages, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.client import Client
    from scoring.settings import Settings

_READY = "console on "


def console(
    address: Annotated[
        str, typer.Option(help="host:port; port 0: any. Default: the setting.")
    ] = "",
) -> None:
    """Serve the console until SIGTERM, then drain.

    Prints `console on URL` once it answers. It asks the control plane at
    SCORING_CONTROL_URL, the service at SCORING_TARGET, and follows the decisions of
    SCORING_KAFKA_BOOTSTRAP. Settings come from the environment (SCORING_CONSOLE_…).
    """
    import asyncio

    import uvloop

    from scoring.settings import Settings

    settings = Settings()
    if address:
        settings = settings.model_copy(update={"console_address": address})
    with (
        _payments() as payments,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve_until_told(settings, payments))


def _payments() -> Client:
    """The service, as SCORING_TARGET and its like name it."""
    from argparse import ArgumentParser

    from scoring.cli.calls.target import add_options, client_of

    parser = ArgumentParser()
    add_options(parser)
    options = parser.parse_args([])
    options.command = "decision"
    return client_of(options)


async def _serve_until_told(settings: Settings, payments: Client) -> None:
    import asyncio
    import signal
    import sys

    from scoring.doors.calls.serving import serve_until
    from scoring.telemetry.logs import begin_logs
    from scoring.wiring.console_app import console_process_from

    begin_logs(settings.log_format, settings.log_level)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with console_process_from(settings, payments) as process:

        async def until_told() -> None:
            await told.wait()
            process.desk.live.close()  # a stream would outlast the drain

        def say_ready() -> None:
            typer.echo(f"{_READY}{process.url}")
            sys.stdout.flush()

        await serve_until(
            [process.server],
            until_told,
            ready=say_ready,
            notice_s=settings.drain_notice_s,
            grace_s=settings.drain_s,
        )
