"""`scoring demo`: simulated payments through both doors, on real parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_DIRECTORY = Path(".scoring/demo")


def demo(
    *,
    seconds: Annotated[
        float | None,
        typer.Option(
            envvar="DEMO_SECONDS", min=1, help="End after so long; default: Ctrl-C."
        ),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=1, max=10_000, help="Transactions per second.")
    ] = 300.0,
    seed: Annotated[int, typer.Option(help="The same seed, the same payments.")] = 7,
    directory: Annotated[
        Path, typer.Option(help="Keeps the demo's model and logs.")
    ] = _DIRECTORY,
) -> None:
    """Watch simulated payments become explained decisions.

    Trains a small model on first use. Starts a store and a broker unless
    SCORING_REDIS_URL and SCORING_KAFKA_BOOTSTRAP name yours. The last line is a JSON
    object counted by an independent consumer; the exit status is 1 if anything was
    lost, duplicated or conflicting.
    """
    from scoring.demo.show import Screen
    from scoring.embedded.service import parts
    from scoring.kafka.client_options import client_options
    from scoring.settings import Settings
    from scoring.training.progress import bar
    from scoring.training.train import ensure_demo_model
    from scoring.wiring.definitions import catalogue_from

    settings = Settings()
    screen = Screen.for_this_terminal()
    directory.mkdir(parents=True, exist_ok=True)
    with bar(transient=True) as report:
        model_dir = ensure_demo_model(
            directory / "model", catalogue_from(settings), report
        )
    screen.say("start the store and the broker")
    options = client_options(settings.kafka_options)
    with parts(
        settings.redis_url, settings.kafka_bootstrap, options=options
    ) as running:
        clean = _staged(running, screen, model_dir, directory, (seconds, rate, seed))
    raise typer.Exit(0 if clean else 1)


def _staged(
    running: Any,
    screen: Any,
    model_dir: Path,
    directory: Path,
    options: tuple[float | None, float, int],
) -> bool:
    import asyncio

    from scoring.demo.stage import staged

    with staged(
        running, model_dir=model_dir, directory=directory, say=screen.say
    ) as stage:
        return asyncio.run(_play(stage, screen, options))


async def _play(
    stage: Any, screen: Any, options: tuple[float | None, float, int]
) -> bool:
    from scoring.demo.stage import playing, run, try_it

    seconds, rate, seed = options
    async with playing(stage, rate=rate, seed=seed) as play:
        with screen.live(play, door=try_it(stage)) as show:
            dead = await run(play, stage, seconds=seconds, show=show)
    if dead is not None:
        typer.secho(dead.obituary, fg=typer.colors.RED, err=True)
    screen.summary(play)
    return dead is None and bool(play.clean)
