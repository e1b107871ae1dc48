"""`scoring shadow`: challengers judge what the champion judged, beside the doors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scoring.cli.options.control import DatabaseUrl

if TYPE_CHECKING:
    from scoring.doors.stream.shadow import Shadow
    from scoring.pipeline.challenger import Challenger
    from scoring.settings import Settings

_NICE = 10  # the doors' work goes first wherever the two share a machine


def shadow(
    versions: Annotated[
        list[str] | None,
        typer.Argument(
            help="challengers in the model registry; none: the model in use"
        ),
    ] = None,
    *,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="a proposed policy, a file; default: the one that the settings name"
        ),
    ] = None,
    directory: Annotated[
        str,
        typer.Option(
            "--dir",
            help="where models are kept: a directory or a URL; default: the services'",
        ),
    ] = "",
    database: DatabaseUrl = "",
    from_beginning: Annotated[
        bool, typer.Option(help="Begin with what was decided before, the first time.")
    ] = False,
    until_end: Annotated[
        bool, typer.Option(help="End when every decision so far was judged.")
    ] = False,
) -> None:
    """Have challengers decide what the champion decided; never answer anybody.

    A challenger is another model, a proposed policy, or both together.

    Reads the vectors on the decisions topic and appends each challenger's decision
    to decisions.challenger, until SIGTERM. Managed lists are those of the control plane
    when it begins, each entry from when it was added. Compare them with `scoring models
    compare CHAMPION CHALLENGER`.
    """
    import asyncio
    import os

    from scoring.errors import BadArtifact
    from scoring.settings import Settings

    os.nice(_NICE)
    settings = Settings()
    if not versions and policy is None:
        raise BadArtifact("name a challenger: a model's version, or --policy FILE")
    proposed = settings.model_copy(update={"policy_file": policy}) if policy else None
    challengers = [
        _challenger(proposed or settings, directory, version, database)
        for version in versions or [""]
    ]
    asyncio.run(
        _shadow(
            settings, challengers, from_beginning=from_beginning, until_end=until_end
        )
    )


def _challenger(
    settings: Settings, directory: str, version: str, database: str
) -> Challenger:
    from scoring.cli.models import registry_at
    from scoring.cli.plane.known_lists import dated_lists
    from scoring.models.onnx_model import load_model
    from scoring.models.signature import Trust
    from scoring.pipeline.challenger import Challenger
    from scoring.wiring.definitions import catalogue_from, policy_from
    from scoring.wiring.services import models_from

    catalogue = catalogue_from(settings)
    policy = policy_from(settings, catalogue)
    lists = dated_lists(policy, database, as_now=False)
    if not version:
        source = models_from(settings)
        model = source.load(source.first(), catalogue=catalogue)
        return Challenger(model, policy, lists)
    trusted = settings.model_trust_file
    model = load_model(
        registry_at(directory).path(version),
        catalogue=catalogue,
        trust=Trust.from_file(trusted) if trusted else None,
    )
    return Challenger(model, policy, lists)


async def _shadow(
    settings: Settings,
    challengers: list[Challenger],
    *,
    from_beginning: bool,
    until_end: bool,
) -> None:
    import asyncio
    import signal

    from scoring.errors import BadArtifact
    from scoring.wiring.connections import log_from

    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    log = await log_from(settings)
    if log is None:
        raise BadArtifact("SCORING_KAFKA_BOOTSTRAP is not set: name your brokers")
    work = _work(settings, challengers, log)
    try:
        await work.run(
            told,
            from_beginning=from_beginning,
            until_end=until_end,
            ready=lambda: typer.echo(f"shadowing {work.topics.decisions}"),
        )
    finally:
        await log.close()
    typer.echo(f"{work.judged} judged, {work.passed_over} passed over")


def _work(settings: Settings, challengers: list[Challenger], log: object) -> Shadow:
    from scoring import wire
    from scoring.doors.stream.shadow import Shadow
    from scoring.kafka.client_options import client_options
    from scoring.kafka.topic_names import Topics
    from scoring.wiring.services import now_ms

    json = settings.decision_format == "json"
    return Shadow(
        bootstrap=settings.kafka_bootstrap,
        client=client_options(settings.kafka_options),
        topics=Topics(settings.topic_prefix),
        challengers=challengers,
        log=log,  # type: ignore[arg-type]
        content_type=wire.JSON if json else wire.PROTOBUF,
        now_ms=now_ms,
    )
