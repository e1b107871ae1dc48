"""`scoring tail`: follow what is being decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.table import Table

    from scoring.kafka.tail import TailFilter
    from scoring.settings import Settings
    from scoring.v1.decision_pb2 import Decision
    from scoring.v1.transaction_pb2 import Transaction

app = typer.Typer(help="Follow a topic.", no_args_is_help=True)
_ROWS_MAX = 30
_COLUMNS = (
    *("id", "at", "amount", "card", "outcome", "score", "reasons", "door", "note"),
    *("merchant", "rules"),
)


@app.callback()
def tail() -> None:
    """Follow a topic."""


@app.command()
def decisions(
    outcome: Annotated[
        list[str] | None, typer.Option(help="approve, challenge, review, decline.")
    ] = None,
    *,
    min_score: Annotated[float, typer.Option(min=0, max=1)] = 0.0,
    entity: Annotated[str, typer.Option(help="A card, customer … or id token.")] = "",
    reason: Annotated[str, typer.Option(help="A reason code.")] = "",
    rule: Annotated[str, typer.Option(help="A rule that held, shadow too.")] = "",
    merchant: Annotated[str, typer.Option(help="A merchant's token.")] = "",
    min_amount: Annotated[
        float, typer.Option(min=0, help="In units of the payment's currency.")
    ] = 0.0,
    from_beginning: Annotated[bool, typer.Option(help="Not only what is new.")] = False,
    count: Annotated[int, typer.Option(min=0, help="Stop after; 0: never.")] = 0,
    plain: Annotated[bool, typer.Option(help="One line each, for a pipe.")] = False,
    json: Annotated[
        bool, typer.Option(help="All of it, a line of JSON each, features by name.")
    ] = False,
) -> None:
    """Show decisions as they are made, until Ctrl-C."""
    import asyncio
    import contextlib

    from scoring.core.decision.decision import Outcome
    from scoring.errors import BadArtifact
    from scoring.kafka.tail import TailFilter
    from scoring.settings import Settings

    try:
        outcomes = frozenset(Outcome[name.upper()] for name in outcome or ())
    except KeyError as error:
        raise BadArtifact(f"--outcome {error}: is not an outcome") from error
    wanted = TailFilter(
        outcomes=outcomes,
        score_min=min_score,
        entity=entity,
        reason=reason,
        rule=rule,
        merchant=merchant,
        amount_min=min_amount,
    )
    settings = Settings()
    line_of = _json_of(settings) if json else _plain if plain else None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_follow(settings, wanted, from_beginning, count, line_of))


def _json_of(settings: Settings) -> Callable[[Decision], str]:
    """The line of a decision: its features are named by our own definitions."""
    from scoring import wire
    from scoring.wiring.definitions import catalogue_from

    catalogue = catalogue_from(settings)
    return lambda decision: wire.decision_to_json(
        decision.SerializeToString(), catalogue
    ).decode()


def _plain(decision: Decision) -> str:
    return "\t".join(_row(decision))


async def _follow(
    settings: Settings,
    wanted: TailFilter,
    from_beginning: bool,
    count: int,
    line_of: Callable[[Decision], str] | None,
) -> None:
    """Show what is wanted as lines, or without `line_of` as a table that moves."""
    from collections import deque
    from contextlib import aclosing, nullcontext

    from rich.live import Live

    from scoring.errors import BadArtifact
    from scoring.kafka import tail as kafka_tail
    from scoring.kafka.client_options import client_options
    from scoring.kafka.topic_names import Topics

    if not settings.kafka_bootstrap:
        raise BadArtifact("SCORING_KAFKA_BOOTSTRAP is not set: name your brokers")
    rows: deque[tuple[str, ...]] = deque(maxlen=_ROWS_MAX)
    shown = 0
    source = kafka_tail.decisions(
        settings.kafka_bootstrap,
        Topics(settings.topic_prefix).decisions,
        options=client_options(settings.kafka_options),
        fetch_wait_ms=settings.fetch_wait_ms,
        from_beginning=from_beginning,
    )
    live = None if line_of else Live(_table(rows), refresh_per_second=8)
    with live or nullcontext():
        async with aclosing(source):
            async for decision in source:
                if not wanted.has(decision):
                    continue
                shown += 1
                if line_of:
                    typer.echo(line_of(decision))
                elif live:
                    rows.append(_row(decision))
                    live.update(_table(rows))
                if shown == count:
                    return


def _row(decision: Decision) -> tuple[str, ...]:
    from scoring.core.decision.decision import Door, Outcome

    core, payment = decision.core, decision.transaction
    return (
        core.transaction_id,
        payment.occurred_at.ToJsonString(),
        f"{_amount(payment)} {payment.currency}",
        payment.card or payment.customer,
        Outcome(core.outcome).name.lower(),
        f"{core.score:.4f}",
        ", ".join(reason.code for reason in core.reasons[:3]),
        Door(decision.trace.door).name.lower(),
        "provisional" if core.provisional else "degraded" if core.degradations else "",
        payment.merchant,
        ", ".join(hit.rule for hit in core.rule_hits),
    )


def _amount(payment: Transaction) -> str:
    return str(payment.amount_minor) if payment.HasField("amount_minor") else "?"


def _table(rows: Iterable[tuple[str, ...]]) -> Table:
    from rich.table import Table

    table = Table()
    for name in _COLUMNS:
        # An id that is cut can be looked up nowhere: it is folded where it is narrow.
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
