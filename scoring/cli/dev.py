"""`scoring dev`: the whole service on loopback, to work against until Ctrl-C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scoring.embedded.service import Parts, ServiceProcess
    from scoring.settings import Settings

_COMMANDS = ("serve", "stream", "control")
_PARTITIONS = 4
_NAME = "dev"
_URL, _TARGET = "SCORING_CONTROL_URL", "SCORING_TARGET"
_LOOK_S = 0.5


def dev(
    *,
    directory: Annotated[
        Path, typer.Option(help="Keeps the store, the model and the logs.")
    ] = Path(".dev"),
    grpc: Annotated[
        str, typer.Option(help="host:port; port 0: any. Default: the setting.")
    ] = "",
    http: Annotated[
        str, typer.Option(help="host:port of the HTTP door; port 0: any.")
    ] = "127.0.0.1:8080",
    control: Annotated[
        str, typer.Option(help="host:port of the control plane; port 0: any.")
    ] = "",
    console: Annotated[
        str, typer.Option(help="host:port of the console; port 0: any.")
    ] = "",
) -> None:
    """Run store, broker, `serve`, `stream`, `control` and `console` until Ctrl-C.

    The store keeps what it holds in the directory; the broker's topics end with it,
    unless SCORING_KAFKA_BOOTSTRAP names one of yours. The file `env` there has the
    settings by which other commands find all of it. Exit status 1 when a process ends
    by itself.
    """
    from scoring.cli.demo import model_and_past
    from scoring.demo.people import invite
    from scoring.embedded.child import free_port
    from scoring.embedded.service import parts, service, services
    from scoring.embedded.store import embedded_store
    from scoring.settings import Settings

    settings = Settings()
    store = directory.resolve() / "store"
    store.mkdir(parents=True, exist_ok=True)
    model_dir, archive_dir = model_and_past(settings, directory, _named(settings))
    with ExitStack() as stack:
        url = settings.redis_url or stack.enter_context(embedded_store(store))
        running = stack.enter_context(
            parts(url, settings.kafka_bootstrap, options=_client(settings))
        )
        environment = _environment(settings, running, directory, model_dir, archive_dir)
        _create_topics(running)
        own = {name: {"SCORING_METRICS_PORT": str(free_port())} for name in _COMMANDS}
        own["serve"]["SCORING_GRPC_ADDRESS"] = grpc or settings.grpc_address
        own["serve"]["SCORING_HTTP_ADDRESS"] = http
        own["control"]["SCORING_CONTROL_ADDRESS"] = control or settings.control_address
        started = stack.enter_context(
            services(_COMMANDS, environment, directory=directory, own=own)
        )
        metrics = {name: each["SCORING_METRICS_PORT"] for name, each in own.items()}
        serve, _, plane = started
        environment |= {_URL: plane.address, _TARGET: serve.address}
        invite(plane.address, directory)
        at = {"SCORING_CONSOLE_ADDRESS": console or settings.console_address}
        pages = stack.enter_context(
            service("console", environment | at, directory=directory)
        )
        _show(serve, pages.address, environment, metrics, directory)
        dead = _until_told([*started, pages])
    if dead is not None:
        typer.secho(dead.obituary, fg=typer.colors.RED, err=True)
    raise typer.Exit(0 if dead is None else 1)


def _named(settings: Settings) -> Path | None:
    """The model of the user's own; None where none is named."""
    is_named = "model_dir" in settings.model_fields_set
    return settings.model_dir if is_named else None


def _client(settings: Settings) -> dict[str, object]:
    from scoring.kafka.client_options import client_options

    return dict(client_options(settings.kafka_options))


def _environment(
    settings: Settings,
    running: Parts,
    directory: Path,
    model_dir: Path,
    archive_dir: Path,
) -> dict[str, str]:
    """Settings by which every command finds what runs here."""
    return {
        **settings.absolute_files(),
        **running.environment_of(_NAME, model_dir=model_dir, state_dir=directory),
        # What is released here decides; until then the file does.
        "SCORING_POLICY_FROM": "control",
        "SCORING_ARCHIVE_DIR": str(archive_dir.resolve()),
    }


def _create_topics(running: Parts) -> None:
    import asyncio

    from scoring.kafka.topic_admin import create_topics
    from scoring.kafka.topic_names import Topics

    topics = Topics(f"{_NAME}.")
    asyncio.run(create_topics(running.client, topics, partitions=_PARTITIONS))


def _show(
    serve: ServiceProcess,
    console: str,
    environment: Mapping[str, str],
    metrics: Mapping[str, str],
    directory: Path,
) -> None:
    """Write the settings down, and print where everything is."""
    from shlex import quote

    from scoring.demo.people import PEOPLE

    env = directory / "env"
    doors = {"GRPC": serve.address, "HTTP": serve.http_address}
    lines = {**environment, **doors}.items()
    env.write_text("".join(f"export {name}={quote(value)}\n" for name, value in lines))
    places = {
        "gRPC": serve.address,
        "HTTP": f"http://{serve.http_address}",
        "Kafka": f"{environment['SCORING_KAFKA_BOOTSTRAP']}, topics {_NAME}.…",
        "store": environment["SCORING_REDIS_URL"],
        "console": console,
        "control": environment[_URL],
        "tokens": ", ".join(
            f"{directory}/{name}.token ({role})"
            for name, role in {**PEOPLE, "control": "admin"}.items()
        ),
        **{
            f"{name} metrics": f"http://127.0.0.1:{port}/metrics"
            for name, port in metrics.items()
        },
        "logs": ", ".join(f"{directory}/{name}.log" for name in (*metrics, "console")),
        "settings": f"source {quote(str(env))}",
    }
    for name, place in places.items():
        typer.echo(f"{name:>14}  {place}")
    typer.echo("running until Ctrl-C")


def _until_told(started: Sequence[ServiceProcess]) -> ServiceProcess | None:
    """Wait for a signal, or for a process that ends by itself: that one."""
    import signal
    import threading

    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: told.set())
    while not told.wait(_LOOK_S):
        for one in started:
            if not one.running:
                return one
    return None
