"""What a replay shows: its progress and, at the end, its figures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table as Grid

from scoring.replay.collect import Collector
from scoring.replay.run import ReplayTally
from scoring.tables.row_accounting import RowAccount
from scoring.training.quality import Quality

_LINE_S = 10.0  # between lines where there is no terminal to draw on


@contextmanager
def bar(total: int, console: Console) -> Iterator[Callable[[int], None]]:
    """Yield what is told how many rows are answered; a bar, or lines in a log."""
    if not console.is_terminal:
        yield _lines(total, console)
        return
    columns = (
        TextColumn("replay"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>8,.0f}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("replay", total=total, rate=0.0)

        def told(done: int) -> None:
            speed = progress.tasks[task].speed or 0.0
            progress.update(task, completed=done, rate=speed)

        yield told


def _lines(total: int, console: Console) -> Callable[[int], None]:
    began = told_at = time.monotonic()

    def told(done: int) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at < _LINE_S:
            return
        told_at = now
        rate = done / (now - began)
        left_s = (total - done) / rate if rate else 0.0
        console.print(
            f"· {done:,} of {total:,}, {rate:,.0f}/s, {left_s:,.0f} s to go",
            highlight=False,
            soft_wrap=True,
        )

    return told


def print_account(account: RowAccount, listed: Path) -> None:
    """Print what became of the rows, why some are left out, and where those are."""
    console = Console(stderr=True)
    for line in (account.sum, *account.lines()):
        console.print(f"· {line}", markup=False, highlight=False, soft_wrap=True)
    if account.write(listed):
        console.print(
            f"· every one of them is in {listed}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def print_follow_ups_refused(collector: Collector) -> None:
    """Print why follow-ups were not taken: later decisions did not know of them."""
    console = Console(stderr=True)
    for reason, count in collector.follow_ups_refused.most_common():
        told = f"· labels or events refused {count:,}: {reason}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)


def print_report(
    account: RowAccount,
    collector: Collector,
    tally: ReplayTally,
    quality: Quality | None,
) -> None:
    """Print counts and quality: rows = decided + refused + skipped."""
    console = Console()
    grid = Grid(title="Replay", title_justify="left", show_header=False)
    rate = collector.decided / tally.seconds if tally.seconds else 0.0
    for name, value in (
        ("rows", f"{account.rows:,}"),
        ("sent", f"{collector.sent:,}"),
        ("decided", f"{collector.decided:,}"),
        ("refused", f"{account.refused.total():,}"),
        ("skipped", f"{account.skipped.total():,}"),
        ("degraded", f"{collector.degraded:,}"),
        *(
            (f"  {code}", f"{count:,}")
            for code, count in collector.degradations.most_common()
        ),
        ("labels fed back", f"{tally.labels:,}"),
        ("labels not yet due", f"{tally.labels_left:,}"),
        *_events(tally),
        ("seconds", f"{tally.seconds:,.1f}"),
        ("transactions per second", f"{rate:,.0f}"),
        ("decisions", str(collector.path)),
    ):
        grid.add_row(name, value)
    if quality is not None:
        _add_quality(grid, quality)
    console.print(grid)
    too_late = collector.degradations["too_late"]
    if too_late:
        console.print(
            f"{too_late:,} decisions came too late to be counted: others do not see "
            "them, and the figures are not those of a run in order (--ordered)"
        )


def _events(tally: ReplayTally) -> list[tuple[str, str]]:
    if not tally.events + tally.events_left:
        return []
    return [
        ("events fed back", f"{tally.events:,}"),
        ("events not yet due, or of no row", f"{tally.events_left:,}"),
    ]


def _add_quality(grid: Grid, quality: Quality) -> None:
    grid.add_section()
    grid.add_row("judged", f"{quality.rows:,} rows, {quality.frauds:,} frauds")
    for name, value in (
        ("AUC", quality.auc),
        ("average precision", quality.average_precision),
        ("card precision@100", quality.card_precision_100),
        *(
            (f"recall at {rate:.1%} reviewed", recall)
            for rate, recall in quality.recall_at.items()
        ),
        ("expected calibration error", quality.ece),
    ):
        grid.add_row(name, "–" if value is None else f"{value:.4f}")
