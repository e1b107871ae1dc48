"""Shows a play: a live screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from scoring.demo.audit import DeliveryAudit
from scoring.demo.play import Play
from scoring.demo.view import screen

_REFRESH_S = 0.25
_LINE_S = 2.0
_LOST_NAMED = 5
_TOKENS_FROM_LINES = 36
_EXPLAINED = {
    "sent": "unique transactions sent, through either door",
    "decided": "with a decision in the topic",
    "lost": "sent, and neither decided nor dead-lettered",
    "duplicated": "records beyond one a transaction",
    "conflicting": "with two different decisions",
    "degraded": "decided with something missing, and flagged so",
    "superseded": "answered provisionally, without the store, and then otherwise",
    "refused": "by the gRPC door at every attempt: more came than can be decided",
    "unfinished": "not waited for, since you asked twice",
    "grpc_p50_ms": "a call, as the client sees it",
    "grpc_p99_ms": "",
    "stream_p50_ms": "from the input's append to the decision's",
    "stream_p99_ms": "",
    "tx_per_s": "decided, from the start to the last decision",
}

Show = Callable[[Play], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the demo is shown; `live_view` on a terminal only."""

    console: Console
    live_view: bool

    @classmethod
    def for_this_terminal(cls) -> Screen:
        """A live view if the output is a terminal."""
        return cls(Console(), sys.stdout.isatty())

    def say(self, line: str) -> None:
        """One line of what happens."""
        self.console.print(f"[dim]·[/] {line}", highlight=False, soft_wrap=True)

    @contextmanager
    def live(self, play: Play, *, door: str, console: list[str]) -> Iterator[Show]:
        """Yield what shows the play until it is cancelled.

        `door` and `console` say where a reader can look for themselves.
        """
        for line in (*console, door):
            self.say(line)
        if not self.live_view:
            yield self._lines
            return
        # A low terminal keeps its lines for the payments; the tokens are above it.
        tall = self.console.height >= _TOKENS_FROM_LINES
        door = "\n".join([*(console if tall else console[:1]), door])
        with Live(
            screen(play.tally, play.audit, elapsed_s=0, door=door),
            console=self.console,
            auto_refresh=False,
            screen=True,
        ) as live:

            async def refresh(play: Play) -> None:
                while True:
                    view = screen(
                        play.tally, play.audit, elapsed_s=play.elapsed_s, door=door
                    )
                    live.update(view, refresh=True)
                    await asyncio.sleep(_REFRESH_S)

            yield refresh

    async def _lines(self, play: Play) -> None:
        while True:
            await asyncio.sleep(_LINE_S)
            tally, audit = play.tally, play.audit
            outcomes = ", ".join(
                f"{count:,} {outcome.lower()}"
                for outcome, count in sorted(tally.outcomes.items())
            )
            self.say(
                f"{play.elapsed_s:4.0f} s  {tally.rate:,}/s  "
                f"{audit.decided:,} of {len(audit.sent_ids):,} decided: {outcomes}; "
                f"frauds {tally.caught:,} caught, {tally.missed:,} missed"
            )

    def summary(self, play: Play) -> None:
        """Print the figures as a table and, last, as one JSON object."""
        figures = play.figures()
        table = Table(
            title="What the independent consumer counted", title_justify="left"
        )
        table.add_column("")
        table.add_column("", justify="right")
        table.add_column("", style="dim")
        bad = ("lost", "duplicated", "conflicting")
        for name, value in figures.items():
            style = ("red" if value else "green") if name in bad else ""
            table.add_row(name, f"{value:,}", _EXPLAINED[name], style=style)
        tally = play.tally
        frauds = tally.caught + tally.missed
        table.add_row("frauds caught", f"{tally.caught:,}", f"of {frauds:,} simulated")
        table.add_row(
            "repeats", f"{tally.repeats_sent:,}", "sent again through either door"
        )
        self.console.print(table)
        for line in lost_ones(play.audit) if figures["lost"] else ():
            self.say(line)
        sys.stdout.flush()
        print(json.dumps(figures), flush=True)  # noqa: T201 the promised last line


def lost_ones(audit: DeliveryAudit) -> list[str]:
    """The first few that were lost, each with what is known of it."""
    named = sorted(audit.lost_ids)[:_LOST_NAMED]
    return [
        f"lost: {id_}: {audit.failures.get(id_, 'it was sent, and no topic has it')}"
        for id_ in named
    ]
