"""The commands that call a running service: their options, and what each asks."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from scoring import wire
from scoring.cli.calls import SUMMARIES, payment, show, target
from scoring.cli.calls.ending import (
    ANSWERED,
    EXITS,
    MISUSED,
    Misuse,
    exit_status,
    said,
)
from scoring.client import (
    CallIds,
    Client,
    Label,
    LabelSource,
    LifecycleEvent,
    LifecycleKind,
    ThreeDsStatus,
    Verdict,
)
from scoring.core.transaction.transaction import DEFAULT_TENANT
from scoring.errors import ScoringError

E = TypeVar("E", bound=IntEnum)
_MS_PER_S = 1_000
_FEATURES_SHOWN = 15
# An answer, as a message and as lines for people.
Answer = tuple[Message, Iterable[str]]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its options, and how it asks."""

    add_options: Callable[[ArgumentParser], None]
    ask: Callable[[Namespace, Client, CallIds], Answer]


def run(words: Sequence[str]) -> int:
    """Carry out a command, print what was answered; returns the exit status."""
    for line in target.unread(os.environ):
        sys.stderr.write(f"scoring: {line}\n")
    options = parser().parse_args(words)
    try:
        with target.client_of(options) as client:
            ids = target.ids_of(options)
            message, lines = COMMANDS[options.command].ask(options, client, ids)
    except ScoringError as error:
        return _refused(error, options)
    except OSError as error:
        if error.filename is None:
            raise
        sys.stderr.write(f"scoring: {error.filename}: {error.strerror}\n")
        return MISUSED
    _print([_json(message)] if options.json else lines)
    return ANSWERED


def parser() -> ArgumentParser:
    """The options of every command."""
    made = ArgumentParser("scoring", description="Ask a running service.")
    commands = made.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        one = commands.add_parser(
            name,
            help=SUMMARIES[name],
            description=SUMMARIES[name],
            epilog=EXITS,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_options(one)
        one.add_argument("--json", action="store_true", help="for machines, one line")
        target.add_options(one)
    return made


def _refused(error: ScoringError, options: Namespace) -> int:
    if options.json:
        told = {"problem": error.code, "field": error.field, "message": str(error)}
        _print([json.dumps({"error": told}, ensure_ascii=False)])
    line = said(error, options.target or target.DEFAULT_TARGET)
    sys.stderr.write(f"scoring: {line}\n")
    return exit_status(error)


def _json(message: Message) -> str:
    return MessageToJson(message, indent=None, ensure_ascii=False)


def _print(lines: Iterable[str]) -> None:
    out = sys.stdout
    if hasattr(out, "reconfigure"):  # a terminal that knows no bars still shows them
        out.reconfigure(errors="replace")
    out.write("".join(f"{line}\n" for line in lines))


def _check_options(own: ArgumentParser) -> None:
    payment.add_options(own)
    own.add_argument(
        "--dry-run", action="store_true", help="decide, and change no state"
    )


def _check(options: Namespace, client: Client, ids: CallIds) -> Answer:
    asked = payment.payment_of(options)
    decided = client.check(asked, dry_run=options.dry_run, ids=ids)
    return decided, show.decision(decided)


def _id_options(own: ArgumentParser) -> None:
    own.add_argument("id", help="the payment's id")
    own.add_argument("--tenant", default=DEFAULT_TENANT, help=DEFAULT_TENANT)


def _decision(options: Namespace, client: Client, ids: CallIds) -> Answer:
    found = client.life(options.id, tenant=options.tenant, ids=ids)
    return found, show.life(found)


def _explain_options(own: ArgumentParser) -> None:
    _id_options(own)
    own.add_argument(
        "--top", type=int, default=_FEATURES_SHOWN, metavar="N",
        help=f"features in the table; default {_FEATURES_SHOWN}",
    )  # fmt: skip


def _explain(options: Namespace, client: Client, ids: CallIds) -> Answer:
    told = client.explanation(options.id, tenant=options.tenant, ids=ids)
    return told, show.explanation(told, rows_max=max(options.top, 0))


def _label_options(own: ArgumentParser) -> None:
    _id_options(own)
    _member_option(own, "--verdict", Verdict, required=True)
    _member_option(own, "--source", LabelSource)
    own.add_argument(
        "--version", type=int, default=1, metavar="N",
        help="1 for the first label of a payment (the default), then rising",
    )  # fmt: skip
    _time_option(own, "--known-at", "when it became known")


def _label(options: Namespace, client: Client, ids: CallIds) -> Answer:
    told = Label(
        options.tenant,
        options.id,
        options.version,
        _member(options.verdict, "--verdict", Verdict),
        _ms(options.known_at, "--known-at"),
        _member(options.source, "--source", LabelSource),
    )
    _raise_first(client.report([told], ids=ids))
    message = wire.label_to_proto(told)
    return message, [f"{options.id}  label accepted", f"  {show.label(message)}"]


def _event_options(own: ArgumentParser) -> None:
    _id_options(own)
    _member_option(own, "--kind", LifecycleKind, required=True)
    own.add_argument("--event-id", required=True, help="unique for the payment")
    _time_option(own, "--occurred-at", "when it happened")
    own.add_argument("--amount-minor", type=int, metavar="MINOR", help="of a part only")
    own.add_argument("--issuer-code", default="", help="ISO 8583 field 39")
    _member_option(own, "--three-ds-result", ThreeDsStatus)


def _event(options: Namespace, client: Client, ids: CallIds) -> Answer:
    told = LifecycleEvent(
        options.tenant,
        options.id,
        options.event_id,
        _member(options.kind, "--kind", LifecycleKind),
        _ms(options.occurred_at, "--occurred-at"),
        options.amount_minor,
        options.issuer_code,
        _member(options.three_ds_result, "--three-ds-result", ThreeDsStatus),
    )
    _raise_first(client.report_events([told], ids=ids))
    message = wire.event_to_proto(told)
    return message, [f"{options.id}  event accepted", f"  {show.event(message)}"]


def _raise_first(outcomes: Sequence[ScoringError | None]) -> None:
    for error in outcomes:
        if error is not None:
            raise error


def _member_option(
    own: ArgumentParser, name: str, members: type[IntEnum], *, required: bool = False
) -> None:
    known = ", ".join(_spelt(member) for member in members if member)
    own.add_argument(name, required=required, default="", metavar="WORD", help=known)


def _time_option(own: ArgumentParser, name: str, told: str) -> None:
    what = f"{told}: now (the default), or ISO 8601 with a zone"
    own.add_argument(name, default=payment.NOW, metavar="TIME", help=what)


def _member(text: str, option: str, members: type[E]) -> E:
    """The member that a word names; the one that says nothing, for no word."""
    if not text:
        return members(0)
    for member in members:
        if member and _spelt(member) == text.lower().replace("_", "-"):
            return member
    known = ", ".join(_spelt(member) for member in members if member)
    raise Misuse(option, f"must be one of {known}")


def _spelt(member: Any) -> str:
    return str(member.name).lower().replace("_", "-")


def _ms(text: str, option: str) -> int:
    time = datetime.fromisoformat(payment.time_of(text, option))
    return int(time.timestamp() * _MS_PER_S)


COMMANDS = {
    "check": Command(_check_options, _check),
    "decision": Command(_id_options, _decision),
    "explain": Command(_explain_options, _explain),
    "label": Command(_label_options, _label),
    "event": Command(_event_options, _event),
}
