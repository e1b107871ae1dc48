"""`scoring demo`: simulated payments through both doors, on real parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from scoring.demo.show import Screen
    from scoring.demo.stage import Stage
    from scoring.embedded.service import Parts
    from scoring.settings import Settings

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
    console: Annotated[
        bool, typer.Option(help="Also run the control plane and the console.")
    ] = True,
) -> None:
    """Watch simulated payments become explained decisions, here and in the console.

    Trains a small model on first use. Starts a store and a broker unless
    SCORING_REDIS_URL and SCORING_KAFKA_BOOTSTRAP name yours. Shows the console's
    address with a token of each role; both end with the demo. The last line is a JSON
    object counted by an independent consumer; the exit status is 1 if anything was
    lost, duplicated or conflicting.
    """
    import asyncio

    from scoring.demo.show import Screen
    from scoring.embedded.service import parts
    from scoring.kafka.client_options import client_options
    from scoring.settings import Settings

    settings = Settings()
    screen = Screen.for_this_terminal()
    directory.mkdir(parents=True, exist_ok=True)
    model_and_past(settings, directory)
    screen.say("start the store and the broker")
    options = client_options(settings.kafka_options)
    with parts(
        settings.redis_url, settings.kafka_bootstrap, options=options
    ) as running:
        stage = _stage(running, directory, screen.say, console=console)
        with stage as ready:
            clean = asyncio.run(_play(ready, screen, (seconds, rate, seed)))
    raise typer.Exit(0 if clean else 1)


def model_and_past(
    settings: Settings, directory: Path, model_dir: Path | None = None
) -> tuple[Path, Path]:
    """A small model, unless one is named, and an archive of a month by that model.

    Both are made in the directory where they are lacking.
    """
    from scoring.demo.past import ensure_past
    from scoring.training.progress import bar
    from scoring.training.train import ensure_demo_model
    from scoring.wiring.definitions import catalogue_from, policy_from

    catalogue = catalogue_from(settings)
    if model_dir is None:
        with bar(transient=True) as report:
            model_dir = ensure_demo_model(directory / "model", catalogue, report)
    policy = policy_from(settings, catalogue)
    return model_dir, ensure_past(directory / "archive", model_dir, catalogue, policy)


def _stage(
    running: Parts, directory: Path, say: Callable[[str], None], *, console: bool
) -> AbstractContextManager[Stage]:
    from scoring.demo.stage import staged, staged_with_team

    if console:
        return staged_with_team(running, directory=directory, say=say)
    model_dir = directory / "model"
    return staged(running, model_dir=model_dir, directory=directory, say=say)


async def _play(
    stage: Stage, screen: Screen, options: tuple[float | None, float, int]
) -> bool:
    from scoring.demo.stage import playing, run, try_it, who_may_look

    seconds, rate, seed = options
    async with playing(stage, rate=rate, seed=seed) as play:
        looks = who_may_look(stage)
        with screen.live(play, door=try_it(stage), console=looks) as show:
            dead = await run(play, stage, seconds=seconds, show=show)
    if dead is not None:
        typer.secho(dead.obituary, fg=typer.colors.RED, err=True)
    screen.summary(play)
    return dead is None and bool(play.clean)
