"""`scoring control`: the risk team's plane as a process, and who may come to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scoring.cli.options.control import ControlUrl, TokenFile, control_at, with_control

if TYPE_CHECKING:
    from scoring.client.control_plane import ControlApi
    from scoring.control.desks.threshold_desk import ChosenLevels
    from scoring.history.archive_look_up import ArchiveLookUp
    from scoring.settings import Settings
    from scoring.wiring.control_app import ControlProcess

app = typer.Typer(
    help="Serve the control plane; give people tokens; see which replica runs what.",
    invoke_without_command=True,
)
people = typer.Typer(help="Who has a token of ours.", no_args_is_help=True)
app.add_typer(people, name="people")
_READY = "control plane on "


@app.callback()
def control(
    context: typer.Context,
    address: Annotated[
        str, typer.Option(help="host:port; port 0: any. Default: the setting.")
    ] = "",
) -> None:
    """Serve the control plane until SIGTERM, then drain.

    Prints `control plane on URL` once it answers, and where the token of the local
    admin is. Settings come from the environment (SCORING_CONTROL_…).
    """
    if context.invoked_subcommand is not None:
        return
    import asyncio

    import uvloop

    from scoring.settings import Settings

    settings = Settings()
    if address:
        settings = settings.model_copy(update={"control_address": address})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_until_told(settings))


async def _serve_until_told(settings: Settings) -> None:
    import asyncio
    import signal

    from scoring.doors.calls.serving import serve_until
    from scoring.telemetry.logs import begin_logs
    from scoring.wiring.control_app import control_process_from

    begin_logs(settings.log_format, settings.log_level)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    archive = _archive_from(settings)
    async with control_process_from(settings, archive, levels=_levels) as process:
        await serve_until(
            [process.server],
            told.wait,
            ready=lambda: _say_ready(process),
            notice_s=settings.drain_notice_s,
            grace_s=settings.drain_s,
        )


def _levels(
    figures: Mapping[str, Any], text: str, costs: Mapping[str, Any]
) -> ChosenLevels:
    """The cheapest levels; what works them out is loaded when it is first asked."""
    from scoring.backtest.levels import levels_by_cost

    return levels_by_cost(figures, text, costs)


def _archive_from(settings: Settings) -> ArchiveLookUp | None:
    if settings.archive_dir is None:
        return None
    from scoring.history.archive import Archive
    from scoring.history.archive_look_up import ArchiveLookUp

    return ArchiveLookUp(Archive(settings.archive_dir))


def _say_ready(process: ControlProcess) -> None:
    import sys

    process.liveness.waits_for = ""
    if process.token_file is not None:
        typer.echo(f"the local admin's token is in {process.token_file}")
        if sys.stdout.isatty():  # a log that is kept is no place for it
            typer.echo(f"token {process.token_file.read_text().strip()}")
    typer.echo(f"{_READY}{process.url}")
    sys.stdout.flush()


@people.command("add")
@with_control
def add(
    api: ControlApi,
    name: Annotated[str, typer.Argument(help="whose token it is")],
    roles: Annotated[
        list[str],
        typer.Option(
            "--role", help="viewer, analyst, author, approver or admin; repeatable"
        ),
    ],
) -> None:
    """Give somebody a token, in place of an earlier one; it is shown this once."""
    made = api.post("people", body={"name": name, "roles": roles}).json
    typer.echo(made["token"])


@people.command("list")
@with_control
def listed(api: ControlApi) -> None:
    """List who has a token, and what they may do."""
    for each in api.items("people"):
        typer.echo(f"{each['name']}  {', '.join(each['roles'])}")


@people.command("remove")
@with_control
def remove(
    api: ControlApi, name: Annotated[str, typer.Argument(help="whose token ends")]
) -> None:
    """Withdraw somebody's token at once."""
    api.delete("people", name)
    typer.echo(f"{name} has no token any more")


@app.command(hidden=True)
def judge(
    number: Annotated[int, typer.Argument(help="a backtest that the queue has")],
) -> None:
    """Judge one backtest of the queue, for the control plane that started this."""
    from scoring.cli.plane.backtest_job import judge_job
    from scoring.settings import Settings

    judge_job(Settings(), number)


@app.command()
def replicas(*, control: ControlUrl = "", token_file: TokenFile = None) -> None:
    """Show which process runs what; exit status 1 when one is not as it should be.

    A running control plane knows it: name it by --control or SCORING_CONTROL_URL.
    """
    from scoring.cli.plane.show import held_back_lines, replicas_table
    from scoring.errors import BadArtifact
    from scoring.settings import Settings

    if not (control or Settings().control_url):
        raise BadArtifact(
            "--control: a running control plane knows its replicas; name its address"
        )
    with control_at(control, "", token_file) as api:
        found = api.get("replicas").json
    healthy = {"current", "behind"}
    typer.echo(f"newest release: {found['release'] or 'none'}")
    if unknown := found["unknown"]:
        typer.secho(
            f"release {unknown['release']} (policy {unknown['policy']}, by "
            f"{unknown['by']}) is not known here and decides: this database was "
            "restored from a backup; `scoring policy republish`, or release another",
            fg=typer.colors.RED,
        )
    replicas_table(found["items"])
    for said in held_back_lines(found["items"]):
        typer.secho(said, fg=typer.colors.RED)
    if unknown or any(each["standing"] not in healthy for each in found["items"]):
        raise typer.Exit(1)
