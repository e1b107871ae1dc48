"""How long offline work tells its reader where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Told the name of the stage and the share of it that is done, 0 to 1.
Report = Callable[[str, float], None]


def silent(_stage: str, _done: float) -> None:
    """Tell nobody."""


@contextmanager
def bar(*, transient: bool = False) -> Iterator[Report]:
    """A rich progress bar on the terminal, one line for each stage."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=transient) as progress:
        tasks = {}

        def report(stage: str, done: float) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=1.0)
            progress.update(tasks[stage], completed=done)

        yield report
