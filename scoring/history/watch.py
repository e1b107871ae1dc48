"""Progress on the screen: a bar for each stage, with an estimate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from scoring.history import topic_archiver


@dataclass(slots=True)
class _Stage:
    """One bar. A stage that begins again, with what came meanwhile, goes on in it."""

    task: TaskID
    before: int = 0
    done: int = 0
    of: int = 0

    def reached(self, done: int, of: int) -> tuple[TaskID, int, int]:
        """What to show of all its runs together.

        >>> stage = _Stage(TaskID(0))
        >>> stage.reached(0, 100), stage.reached(100, 100), stage.reached(0, 7)
        ((0, 0, 100), (0, 100, 100), (0, 100, 107))
        """
        if done < self.done:
            self.before += self.of
        self.done, self.of = done, of
        return self.task, self.before + done, self.before + of


@contextmanager
def watched() -> Iterator[topic_archiver.Progress]:
    """Show progress on standard error until the block ends."""
    bar = Progress(
        TextColumn("{task.description:>14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    stages: dict[str, _Stage] = {}

    def show(what: str, done: int, of: int) -> None:
        if of == 0:  # nothing, or nothing more, to do
            return
        if what not in stages:
            stages[what] = _Stage(bar.add_task(what))
        task, all_done, all_of = stages[what].reached(done, of)
        bar.update(task, completed=all_done, total=all_of)

    with bar:
        yield show
