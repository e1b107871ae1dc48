"""`scoring replay`: a table of past payments through the live path."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from scoring.cli.options.control import DatabaseUrl, ListsAsNow
from scoring.cli.options.lifecycle import EventsFile, EventsMapping, events_at

if TYPE_CHECKING:
    from scoring.replay.offline import Agreement
    from scoring.tables.table import Span, Table


class _FileFirst(TyperGroup):
    """Takes `scoring replay FILE` for `scoring replay play FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default command."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["play", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_FileFirst,
    help="Replay a table of past payments: `scoring replay FILE`.",
    no_args_is_help=True,
)


class Through(Enum):
    """The door to play through."""

    kafka = "kafka"
    grpc = "grpc"


def _instant(text: str | int) -> int:
    """Milliseconds since 1970 of an ISO date or time, UTC; a default as it is."""
    if isinstance(text, int):
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("must be a date such as 2018-05-01") from error
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)


def _span(text: str) -> int:
    from scoring.tables.mapping import span_ms

    try:
        return span_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


File = Annotated[Path, typer.Argument(help="Parquet, CSV or JSON lines")]
Describe = Annotated[
    bool, typer.Option("--describe", help="Propose a mapping, play nothing.")
]
MappingName = Annotated[
    str, typer.Option(help="A mapping file, or handbook. Default: guessed.")
]
Encoding = Annotated[
    str, typer.Option(help="Of the text, where no mapping says it: windows-1252.")
]
Door = Annotated[Through, typer.Option(help="Which door.")]
Ordered = Annotated[
    bool | None,
    typer.Option(
        "--ordered/--unordered",
        help="One event-time merge with labels (default), or at full speed, for load.",
        show_default=False,
    ),
]
Rate = Annotated[float | None, typer.Option(min=0.01, help="Transactions per second.")]
TimeLapse = Annotated[
    float | None, typer.Option(min=0.01, help="Seconds of event time a second.")
]
LabelDelay = Annotated[
    int | None, typer.Option(parser=_span, metavar="SPAN", help="Such as 7d.")
]
LabelLead = Annotated[
    int | None,
    typer.Option(parser=_span, metavar="SPAN", help="Send labels so long before due."),
]
_date = partial(typer.Option, parser=_instant, metavar="DATE", show_default=False)
From = Annotated[int, _date("--from", help="Inclusive.")]
To = Annotated[int, _date("--to", help="Exclusive.")]
JudgeFrom = Annotated[int, _date("--judge-from", help="Report on later rows only.")]
Out = Annotated[
    Path, typer.Option(help="Decisions, .parquet or .csv; {run} is its name.")
]
IntoLive = Annotated[
    bool, typer.Option("--into-live", help="Play into the live service and state.")
]
_EVER = 2**62
_OUT = Path(".scoring/replay/{run}.parquet")


@app.command()
def play(
    file: File,
    *,
    describe: Describe = False,
    mapping: MappingName = "",
    encoding: Encoding = "",
    through: Door = Through.kafka,
    ordered: Ordered = None,
    rate: Rate = None,
    time_lapse: TimeLapse = None,
    label_delay: LabelDelay = None,
    label_lead: LabelLead = None,
    labels: Annotated[bool, typer.Option(help="Feed labels back.")] = True,
    events: EventsFile = None,
    events_mapping: EventsMapping = None,
    from_: From = 0,
    to: To = _EVER,
    judge_from: JudgeFrom = 0,
    out: Out = _OUT,
    namespace: Annotated[str, typer.Option(help="Default: a fresh one.")] = "",
    into_live: IntoLive = False,
    database: DatabaseUrl = "",
    lists_as_now: ListsAsNow = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first row that is refused.")
    ] = False,
) -> None:
    """Play a table through Kafka or gRPC and judge the decisions.

    In the order of event time, unless --unordered. Each run has its own namespace,
    topics and processes, unless --into-live. A store and a broker are started unless
    SCORING_REDIS_URL and SCORING_KAFKA_BOOTSTRAP name yours. Managed lists are those of
    the control plane, each entry from when it was added. Every row is decided,
    refused or skipped (the same payment again, or outside --from and --to); the
    latter are listed beside the decisions. Exit status: 0 no row was refused, 1 some
    were, 2 the table cannot be played.
    """
    from scoring.cli.plane.known_lists import dated_lists
    from scoring.core.policy.dated_lists import NO_LISTS
    from scoring.replay.run import Plan
    from scoring.replay.session import Session, replay
    from scoring.settings import Settings
    from scoring.tables.table import Span
    from scoring.wiring.definitions import catalogue_from, policy_from

    if describe:
        _describe(file, encoding)
        return
    if rate is not None and time_lapse is not None:
        raise typer.BadParameter("--rate and --time-lapse exclude each other")
    if ordered is None:  # others write to the live topics: there is no one order
        ordered = not (into_live and through is Through.kafka)
    if ordered and label_lead is not None:
        raise typer.BadParameter(
            "--label-lead needs --unordered: in order, each label comes when it is due"
        )
    settings = Settings()
    table = _table(file, mapping, encoding, Span(from_, to), strict=strict)
    plan = Plan(
        table=table,
        catalogue=catalogue_from(settings),
        ordered=ordered,
        feed_labels=labels,
        label_delay_ms=label_delay,
        label_lead_ms=label_lead or 0,
        events=events_at(events, events_mapping),
        rate=rate,
        time_lapse=time_lapse,
    )
    lists = NO_LISTS  # a live service has its own
    if not into_live:
        policy = policy_from(settings, plan.catalogue)
        lists = dated_lists(policy, database, as_now=lists_as_now)
    session = Session(settings, through.value, namespace, into_live, out, lists)
    if not replay(plan, session, judge_from_ms=judge_from):
        raise typer.Exit(1)


def _table(
    file: Path, mapping: str, encoding: str, span: Span, *, strict: bool = False
) -> Table:
    from scoring.settings import Settings
    from scoring.tables.choose import chosen_mapping
    from scoring.tables.table import Table

    return Table(
        file,
        chosen_mapping(file, mapping, encoding=encoding, told=_remark),
        span=span,
        exempt=Settings().numeric_ids,
        strict=strict,
    )


def _remark(text: str) -> None:
    typer.echo(f"· {text}", err=True)


@app.command()
def report(
    decisions: Annotated[Path, typer.Argument(help="Decisions (Parquet) of a run")],
    *,
    judge_from: JudgeFrom = 0,
) -> None:
    """Say what the policy did in a run: outcomes, fraud caught, rules and reasons."""
    from scoring.replay.session import report_policy
    from scoring.settings import Settings

    report_policy(decisions, Settings(), judge_from)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Decisions of a run, or a policy")],
    second: Annotated[Path, typer.Argument(help="Decisions of another, or a policy")],
    *,
    decisions: Annotated[
        Path | None, typer.Option(help="The run that two policies decide again.")
    ] = None,
    database: DatabaseUrl = "",
    lists_as_now: ListsAsNow = False,
) -> None:
    """Say which outcomes flipped, by rule and amount, with the fraud among them.

    Two runs: exit 1 unless every transaction has an equal decision core. A policy
    (.yaml) decides again, on the vectors and scores of a run: the other argument, or
    --decisions. Managed lists are those of the control plane, each entry from when it
    was added.
    """
    from scoring.cli.plane.known_lists import dated_lists
    from scoring.replay.comparison import compared

    same = compared(
        first,
        second,
        decisions,
        told=typer.echo,
        lists_of=lambda policy: dated_lists(policy, database, as_now=lists_as_now),
    )
    if not same:
        raise typer.Exit(1)


@app.command()
def offline(
    file: Annotated[Path, typer.Argument(help="The table that was played")],
    decisions: Annotated[Path, typer.Argument(help="Decisions of the run")],
    *,
    mapping: MappingName = "",
    encoding: Encoding = "",
    label_delay: LabelDelay = None,
    from_: From = 0,
    to: To = _EVER,
    difference_max: Annotated[float, typer.Option(help="Of a score.")] = 1e-6,
    labels: Annotated[bool, typer.Option(help="The run fed labels back.")] = True,
    events: EventsFile = None,
    events_mapping: EventsMapping = None,
    as_processed: Annotated[
        bool, typer.Option("--as-processed", help="An unordered run, in its own order.")
    ] = False,
) -> None:
    """Score the same rows offline with the same bundle, and compare.

    Takes an ordered run, or, --as-processed, any run of one store: each row then
    sees what the store had processed before it. Exit status 1 where a score differs
    by more than the limit, a row has no decision, or, --as-processed, a feature
    differs. Rows of an unordered run that differ only in what labels or events tell
    (when they were applied is not recorded), or in what their decisions state as
    inexact, are counted, and pass.
    """
    from scoring.replay.offline import RunTerms, agreement
    from scoring.replay.session import with_model
    from scoring.settings import Settings
    from scoring.tables.table import Span
    from scoring.wiring.services import artifacts_from

    settings = Settings()
    table = _table(file, mapping, encoding, Span(from_, to))
    artifacts = artifacts_from(with_model(settings))
    delay_ms = table.label_delay_ms if label_delay is None else label_delay
    found = agreement(
        table,
        decisions,
        catalogue=artifacts.catalogue,
        model=artifacts.model,
        terms=RunTerms(
            label_delay_ms=delay_ms if labels else None,
            lateness_ms=settings.lateness_s * 1_000 if as_processed else None,
            events=events_at(events, events_mapping),
        ),
    )
    _print_agreement(found, table)
    if as_processed:
        typer.echo(
            f"{found.labels_late:,} rows differ in what labels or events tell, "
            f"{found.unexplained:,} other values differ"
        )
    wrong = as_processed and found.unexplained
    if found.missing or wrong or found.score_difference_max > difference_max:
        raise typer.Exit(1)


def _print_agreement(found: Agreement, table: Table) -> None:
    typer.echo(
        f"{found.rows:,} transactions scored offline too, {found.missing:,} without "
        f"a decision; largest score difference {found.score_difference_max:.3g}"
    )
    for line in table.account.lines():
        _remark(line)
    for name, count in found.features_differing.items():
        typer.echo(f"  {name}: {count:,} values differ")
    if found.inexact:
        typer.echo(
            f"{found.inexact:,} rows differ in what their decisions state as inexact"
        )


def _describe(file: Path, encoding: str) -> None:
    from scoring.tables.describe import describe

    proposal = describe(file, encoding=encoding)
    for remark in proposal.remarks:
        typer.echo(f"# {remark}")
    typer.echo(proposal.text, nl=False)
    if not proposal.complete:
        raise typer.Exit(2)
