"""`scoring dead-letters`: list, show and replay what could not be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scoring.doors.stream.dead_letter_reader import Letter, Letters
    from scoring.settings import Settings

app = typer.Typer(help="Work off what could not be judged.", no_args_is_help=True)
_SEND_S = 60.0
LabelsOption = Annotated[
    bool, typer.Option("--labels", help="Of labels instead of transactions.")
]
EventsOption = Annotated[
    bool, typer.Option("--events", help="Of lifecycle events instead of transactions.")
]


@app.command("list")
def list_(
    reason: Annotated[str, typer.Option(help="Only this reason.")] = "",
    labels: LabelsOption = False,
    events: EventsOption = False,
    limit: Annotated[int, typer.Option(min=1, help="Newest shown.")] = 50,
) -> None:
    """Show the newest letters, and how many there are for each reason."""
    from rich.console import Console
    from rich.table import Table

    letters = [
        letter
        for letter in _read(_kind(labels=labels, events=events))
        if reason in ("", letter.reason)
    ]
    table = Table("position", "at", "reason", "field", "message", "bytes")
    for letter in letters[-limit:]:
        message = letter.message
        table.add_row(
            letter.position,
            message.timestamp.ToJsonString(),
            letter.reason,
            message.field,
            message.message,
            str(message.value_size_bytes),
        )
    console = Console()
    console.print(table)
    for name, count in sorted(_counted(letters).items()):
        console.print(f"{name}: {count}")


@app.command()
def show(
    position: Annotated[str, typer.Argument(help="PARTITION@OFFSET, as listed.")],
    labels: LabelsOption = False,
    events: EventsOption = False,
) -> None:
    """Show one letter in full, as JSON."""
    from google.protobuf import json_format

    for letter in _read(_kind(labels=labels, events=events)):
        if letter.position == position:
            typer.echo(json_format.MessageToJson(letter.message))
            return
    typer.secho(f"no letter at {position}", fg=typer.colors.RED, err=True)
    raise typer.Exit(1)


@app.command()
def replay(
    positions: Annotated[
        list[str] | None, typer.Argument(help="PARTITION@OFFSET …; none: all.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Only this reason.")] = "",
    labels: LabelsOption = False,
    events: EventsOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Send letters to their topic again, after the cause is repaired.

    A letter whose digits were overwritten, or that was cut, cannot be sent as it
    is. Sending twice is harmless: a transaction is decided once.
    """
    chosen = [
        letter
        for letter in _read(_kind(labels=labels, events=events))
        if reason in ("", letter.reason)
        and (not positions or letter.position in positions)
    ]
    whole = [letter for letter in chosen if letter.whole]
    if len(whole) < len(chosen):
        typer.echo(f"{len(chosen) - len(whole)} cannot be sent: masked or cut")
    if not whole:
        return
    if not yes:
        typer.confirm(f"send {len(whole)} again?", abort=True)
    _send(whole)
    typer.echo(f"sent {len(whole)} again")


def _counted(letters: Sequence[Letter]) -> dict[str, int]:
    from collections import Counter

    return Counter(letter.reason for letter in letters)


def _kind(*, labels: bool, events: bool) -> str:
    """Whose letters are meant: the input topic's name, without its prefix."""
    if labels and events:
        raise typer.BadParameter("name one of --labels and --events")
    return "labels" if labels else "events" if events else "transactions"


def _letters(settings: Settings, kind: str) -> Letters:
    from scoring.doors.stream.dead_letter_reader import Letters
    from scoring.errors import BadArtifact
    from scoring.kafka.client_options import client_options
    from scoring.kafka.topic_names import Topics

    if not settings.kafka_bootstrap:
        raise BadArtifact("SCORING_KAFKA_BOOTSTRAP is not set: name your brokers")
    topics = Topics(settings.topic_prefix)
    return Letters(
        bootstrap=settings.kafka_bootstrap,
        options=client_options(settings.kafka_options),
        topic=f"{topics.prefix}{kind}.dead-letter",
    )


def _read(kind: str) -> list[Letter]:
    import asyncio

    from scoring.settings import Settings

    return asyncio.run(_letters(Settings(), kind).read())


def _send(letters: list[Letter]) -> None:
    import asyncio

    from scoring.errors import LogUnavailable
    from scoring.settings import Settings
    from scoring.wiring.connections import log_from

    async def send() -> None:
        log = await log_from(Settings())
        assert log is not None
        try:
            async with asyncio.timeout(_SEND_S):
                await log.append([letter.record() for letter in letters])
        except TimeoutError as error:
            raise LogUnavailable(
                f"no broker acknowledged all of them within {_SEND_S:.0f} s; some may "
                "have been sent, and sending twice is harmless"
            ) from error
        finally:
            await log.close()

    asyncio.run(send())
