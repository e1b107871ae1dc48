"""The demo's screen: rates, outcomes, latencies, frauds and the latest declines."""

from __future__ import annotations

from rich.align import Align
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from scoring.demo.audit import DeliveryAudit
from scoring.demo.tally import OUTCOMES, Decline, Tally, percentile

_COLOURS = {
    "APPROVE": "green",
    "CHALLENGE": "yellow",
    "REVIEW": "dark_orange",
    "DECLINE": "red",
}
_BARS = "▁▂▃▄▅▆▇█"
_BAR_CELLS = 16
# What a decision's trace can hold: it is written before it is recorded.
_STAGES = ("observe", "vectorise", "predict", "decide")
_SPARK_SECONDS = 48
_REASONS_SHOWN = 2
_FRAME_LINES = 3  # of the footer: its border, and the first line


def screen(
    tally: Tally, audit: DeliveryAudit, *, elapsed_s: float, door: str
) -> Layout:
    """The whole screen at one moment; `door` says where a reader can try it."""
    layout = Layout()
    layout.split_column(
        Layout(_headline(tally, audit, elapsed_s), name="headline", size=5),
        Layout(name="middle", size=10),
        Layout(_declines(tally), name="declines", ratio=1, minimum_size=5),
        Layout(
            _footer(audit, tally, door),
            name="footer",
            size=_FRAME_LINES + len(door.splitlines()),
        ),
    )
    layout["middle"].split_row(
        Layout(_outcomes(tally), name="outcomes"),
        Layout(_frauds(tally), name="frauds"),
        Layout(_latencies(tally), name="latencies"),
    )
    return layout


def sparkline(counts: list[int]) -> str:
    """Counts as a row of bars, the highest filling its cell.

    >>> sparkline([0, 5, 10])
    '▁▄█'
    """
    top = max([*counts, 1])
    return "".join(_BARS[min(7, count * 7 // top)] for count in counts)


def _headline(tally: Tally, audit: DeliveryAudit, elapsed_s: float) -> Panel:
    line = Text()
    line.append(f"{tally.rate:>6,} ", style="bold cyan")
    line.append("decisions/s   ")
    # The last second is still filling: showing it would look like a dip.
    recent = [count for _, count in list(tally.per_second)[:-1]][-_SPARK_SECONDS:]
    line.append(sparkline(recent), style="cyan")
    counts = Text(
        f"{audit.decided:,} decided · {tally.labels_sent:,} labels learned · "
        f"{elapsed_s:,.0f} s",
        style="dim",
    )
    return Panel(
        Group(line, Text(), counts),
        title="[bold]Payments through Kafka and gRPC, decided on this machine[/]",
        border_style="cyan",
    )


def _outcomes(tally: Tally) -> Panel:
    total = max(1, sum(tally.outcomes.values()))
    table = Table.grid(padding=(0, 1))
    for outcome in OUTCOMES:
        count = tally.outcomes[outcome]
        # Shares differ by orders of magnitude: a root keeps the small ones visible.
        cells = round(_BAR_CELLS * (count / total) ** 0.5)
        table.add_row(
            outcome.lower(),
            Text("█" * cells, style=_COLOURS[outcome]),
            f"{count:,}",
            Text(f"{count / total:.1%}", style="dim"),
        )
    return Panel(Align(table, vertical="middle"), title="Outcomes (bars: root scale)")


def _frauds(tally: Tally) -> Panel:
    frauds = tally.caught + tally.missed
    table = Table.grid(padding=(0, 2))
    share = f"{tally.caught / frauds:.0%}" if frauds else ""
    table.add_row("caught", Text(f"{tally.caught:,}", style="bold green"), share)
    table.add_row("missed", Text(f"{tally.missed:,}", style="bold red"), "")
    table.add_row("false alarms", Text(f"{tally.false_alarms:,}", style="yellow"), "")
    note = Text(
        "Against the simulator's truth. Caught: not simply approved. "
        "A simulated world says nothing of yours.",
        style="dim",
    )
    return Panel(Group(table, Text(), note), title="Frauds")


def _latencies(tally: Tally) -> Panel:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("")
    for column in ("p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for name, values in (("gRPC call", tally.grpc_ms), ("Kafka", tally.stream_ms)):
        recent = values[-4_000:]
        row = (f"{percentile(recent, 0.5):.1f}", f"{percentile(recent, 0.99):.1f}")
        table.add_row(Text(name, style="bold"), *row)
    stages = [s for s in _STAGES if s in tally.stages_us]
    for stage in stages:
        samples = tally.stages_us[stage]
        p50, p99 = (percentile(samples, share) / 1000 for share in (0.5, 0.99))
        table.add_row(Text(f"  {stage}", style="dim"), f"{p50:.2f}", f"{p99:.2f}")
    return Panel(table, title="Latency; stages are of a batch")


def _declines(tally: Tally) -> Panel:
    table = Table(expand=True, box=None, header_style="dim", pad_edge=False)
    table.add_column("occurred (UTC)", no_wrap=True)
    table.add_column("transaction", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("truth", no_wrap=True)
    table.add_column("why", ratio=1, no_wrap=True, overflow="ellipsis")
    for decline in reversed(tally.declines):
        table.add_row(*_decline_row(decline))
    return Panel(table, title="Latest declines", border_style="red")


def _decline_row(decline: Decline) -> tuple[RenderableType, ...]:
    truth = Text("fraud", "green") if decline.fraud else Text("genuine", "yellow")
    score = "" if decline.score is None else f"{decline.score:.3f}"
    why = "; ".join(decline.reasons[:_REASONS_SHOWN])
    return (
        Text(decline.occurred_at, "dim"),
        decline.transaction_id,
        decline.amount,
        score,
        truth,
        why,
    )


def _footer(audit: DeliveryAudit, tally: Tally, door: str) -> Panel:
    line = Text()
    line.append(f"sent {len(audit.sent_ids):,} · in flight {audit.in_flight:,} · ")
    for name, count in (
        ("duplicated", audit.duplicated),
        ("conflicting", audit.conflicting),
        ("degraded", audit.degraded_count),
    ):
        line.append(f"{name} {count:,} · ", style="bold red" if count else "green")
    line.append(f"sent again through either door {tally.repeats_sent:,}")
    return Panel(Group(line, Text(door, style="dim")), border_style="dim")
