"""One replay from its parts to its report: processes, topics, files, figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console

from scoring.core.policy.dated_lists import NO_LISTS, DatedLists
from scoring.embedded.service import Parts, ServiceProcess, parts, service
from scoring.errors import BadArtifact, Unavailable
from scoring.kafka.topic_names import Topics
from scoring.lists.dated_file import keep_dated_lists
from scoring.replay.collect import Collector
from scoring.replay.decisions import write_csv
from scoring.replay.fitted import fitted_remarks
from scoring.replay.policy_page import policy_sheets, write_policy_report
from scoring.replay.policy_report import policy_report
from scoring.replay.report import quality_of
from scoring.replay.run import (
    KafkaTarget,
    Plan,
    ReplayTally,
    grpc_door,
    kafka_door,
    play,
)
from scoring.replay.screen import (
    bar,
    print_account,
    print_follow_ups_refused,
    print_report,
)
from scoring.replay.sheet import show
from scoring.settings import Settings
from scoring.training.offline.lifecycle import refuse_untold
from scoring.training.quality import Quality
from scoring.wiring.definitions import catalogue_from, policy_from

_PARTITIONS = 4
_WATCH_S = 0.5
_DECIDED_BEFORE = "was decided before this run; it keeps that decision"
# A replay waits for its answers: nothing may be degraded for want of time.
_PATIENT = {
    "SCORING_BUDGET_MS": "60000",
    "SCORING_BATCH_BUDGET_MS": "60000",
    "SCORING_STORE_BUDGET_MS": "30000",
    "SCORING_BREAKER": "false",  # what a run decides does not depend on its pace
}
_ORDERED = {"SCORING_COMMIT_INTERVAL_S": "0.02"}  # its commits pace the labels


@dataclass(frozen=True, slots=True)
class Session:
    """How and where a replay runs; an empty namespace means a fresh one.

    `lists` are what the policy's managed lists hold; a live service has its own.
    """

    settings: Settings
    through: str
    namespace: str
    into_live: bool
    out: Path
    lists: DatedLists = NO_LISTS


@dataclass(frozen=True, slots=True)
class _Target:
    """Where rows go; `service` is our own process, None when it is a live one."""

    kafka: KafkaTarget
    grpc_address: str
    service: ServiceProcess | None = None


def replay(plan: Plan, session: Session, *, judge_from_ms: int) -> bool:
    """Play, report and return whether no row and no label was refused.

    Raises `BadArtifact` for a table without rows, and where the definitions count
    lifecycle events and the plan tells of none.
    """
    refuse_untold(plan.catalogue, told=plan.events is not None)
    console = Console(stderr=True)
    run = session.namespace or f"replay-{uuid4().hex[:8]}"
    out = Path(str(session.out).replace("{run}", run))
    collector = Collector(out.with_suffix(".parquet") if _is_csv(out) else out)
    total, account = len(plan.table), plan.table.account
    if not account.rows:
        raise BadArtifact("the table has no rows")
    listed = collector.path.with_suffix(".left-out.csv")
    print_account(account, listed)
    if not total:
        console.print(f"[dim]·[/] none of {account.rows:,} rows can be decided")
        return not account.refused
    console.print(f"[dim]·[/] {total:,} transactions as {run}, {session.through}")
    try:
        with (
            _target(plan, session, run, console) as target,
            bar(total, console) as told,
        ):
            tally = asyncio.run(_through(plan, session, target, collector, told))
    finally:
        collector.close()
    for place, reason in collector.refusals:
        account.refuse(place, "", reason)
    for place in collector.repeats:
        account.skip(place, _DECIDED_BEFORE)
    if collector.refusals or collector.repeats:
        print_account(account, listed)
    print_follow_ups_refused(collector)
    quality = quality_of_run(plan, collector, judge_from_ms)
    print_report(account, collector, tally, quality)
    if collector.decided:
        if _is_csv(out):
            write_csv(collector.path, out)
        report_policy(collector.path, session.settings, judge_from_ms)
    return not (account.refused or collector.follow_ups_refused)


def quality_of_run(
    plan: Plan, collector: Collector, judge_from_ms: int
) -> Quality | None:
    """The quality report, where the table has labels."""
    if not plan.table.labelled or not collector.decided:
        return None
    return quality_of(collector.path, from_ms=judge_from_ms)


def report_policy(path: Path, settings: Settings, from_ms: int) -> None:
    """Print what the policy did, and write it beside the decisions, both forms.

    Rules that never held are listed where the settings' policy is the run's.
    """
    from scoring.wiring.services import models_from

    policy = policy_from(settings, catalogue_from(settings))
    report = policy_report(path, from_ms=from_ms)
    if report.policies == (policy.version,):
        asks = [(a.name, a.mode.name.lower(), a.outcome.name) for a in policy.asks]
        report = policy_report(path, from_ms=from_ms, rules=asks)
    show(policy_sheets(report))
    page = write_policy_report(report, path)
    console = Console(highlight=False, soft_wrap=True)
    kept = models_from(_with_model_dir(settings)).bundle
    for remark in fitted_remarks(path, kept, from_ms=from_ms):
        console.print(f"· {remark}")
    console.print(f"policy report: {page}")


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def with_model(settings: Settings) -> Settings:
    """Settings whose model exists: the one named, else the demo's, trained if needed.

    Raises `BadArtifact` where a model directory is named and empty.
    """
    from scoring.training.progress import bar
    from scoring.training.train import ensure_demo_model

    placed = _with_model_dir(settings)
    if placed is settings:
        return settings
    if "model_dir" in settings.model_fields_set:
        raise BadArtifact(
            f"{settings.model_dir}: there is no model; make one with `scoring train`"
        )
    with bar(transient=True) as report:
        ensure_demo_model(placed.model_dir, catalogue_from(settings), report)
    return placed


def _with_model_dir(settings: Settings) -> Settings:
    """These settings where they bring a model, else with the demo's directory."""
    if settings.model_url or settings.model_dir.is_dir():
        return settings
    demo = settings.state_dir / "demo" / "model"
    return settings.model_copy(update={"model_dir": demo})


@contextmanager
def _target(
    plan: Plan, session: Session, run: str, console: Console
) -> Iterator[_Target]:
    settings = session.settings
    if session.into_live:
        yield _live_target(settings, session.through, plan)
        return
    settings = with_model(settings)
    topics = Topics(f"{run}.")
    with ExitStack() as stack:
        if session.through == "grpc":
            # Without a broker labels go straight to the store, in order.
            running = Parts(stack.enter_context(_store(settings)), "", False)
        else:
            running = stack.enter_context(
                parts(
                    settings.redis_url,
                    settings.kafka_bootstrap,
                    options=_options(settings),
                )
            )
        if session.through == "kafka":
            _create_topics(running, topics, plan)
        directory = settings.state_dir / "replay" / run
        directory.mkdir(parents=True, exist_ok=True)
        keep_dated_lists(session.lists, directory)
        console.print(f"[dim]·[/] logs in {directory}")
        started = stack.enter_context(
            service(
                "serve" if session.through == "grpc" else "stream",
                _environment(settings, running, topics, plan)
                | {
                    "SCORING_NAMESPACE": run,
                    "SCORING_STATE_DIR": str(directory.resolve()),
                },
                directory=directory,
            )
        )
        yield _Target(
            KafkaTarget(running.client, topics, running.fetch_wait_ms),
            started.address,
            started,
        )


def _create_topics(running: Parts, topics: Topics, plan: Plan) -> None:
    from scoring.kafka.topic_admin import create_topics

    partitions = 1 if plan.ordered else _PARTITIONS
    asyncio.run(create_topics(running.client, topics, partitions=partitions))


@contextmanager
def _store(settings: Settings) -> Iterator[str]:
    from scoring.embedded.store import embedded_store

    if settings.redis_url:
        yield settings.redis_url
        return
    with embedded_store() as url:
        yield url


def _options(settings: Settings) -> dict[str, Any]:
    from scoring.kafka.client_options import client_options

    return client_options(settings.kafka_options)


def _live_target(settings: Settings, through: str, plan: Plan) -> _Target:
    if plan.table.tokenised:
        raise BadArtifact(
            "--into-live: the mapping numbers tokens (tokenise), and the live "
            "service knows others; write its tokens into the table"
        )
    if through == "kafka" and not settings.kafka_bootstrap:
        raise BadArtifact("SCORING_KAFKA_BOOTSTRAP: name the live broker")
    if through == "kafka" and plan.ordered:
        raise BadArtifact(
            "--ordered --into-live: others write to the live topics; use --through "
            "grpc, or a run of its own"
        )
    client = {"bootstrap_servers": settings.kafka_bootstrap, **_options(settings)}
    kafka = KafkaTarget(client, Topics(settings.topic_prefix), settings.fetch_wait_ms)
    return _Target(kafka, settings.grpc_address)


def _environment(
    settings: Settings, running: Parts, topics: Topics, plan: Plan
) -> dict[str, str]:
    environment = {
        **running.environment,
        **_PATIENT,
        "SCORING_TOPIC_PREFIX": topics.prefix,
        "SCORING_MODEL_DIR": str(settings.model_dir.resolve()),
        "SCORING_DECISION_FORMAT": "protobuf",
        "SCORING_SCHEMA_REGISTRY_URL": "",  # topics of a moment have no subjects
        "SCORING_GRPC_ADDRESS": "127.0.0.1:0",
        "SCORING_POLICY_FROM": "file",  # nothing is released to a run
    }
    return environment | settings.absolute_files() | (_ORDERED if plan.ordered else {})


async def _through(
    plan: Plan,
    session: Session,
    target: _Target,
    collector: Collector,
    told: Callable[[int], None],
) -> ReplayTally:
    """Play, unless our process ends meanwhile; raises `Unavailable`."""
    playing = asyncio.ensure_future(_played(plan, session, target, collector, told))
    watching = asyncio.ensure_future(_ended(target.service))
    try:
        await asyncio.wait({playing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            raise Unavailable(watching.result().obituary)
        return playing.result()
    finally:
        for task in (playing, watching):
            task.cancel()
        await asyncio.gather(playing, watching, return_exceptions=True)


async def _ended(started: ServiceProcess | None) -> ServiceProcess:
    """Return when a process of ours is no longer there."""
    while True:
        if started is not None and not started.running:
            return started
        await asyncio.sleep(_WATCH_S)


async def _played(
    plan: Plan,
    session: Session,
    target: _Target,
    collector: Collector,
    told: Callable[[int], None],
) -> ReplayTally:
    if session.through == "grpc":
        async with grpc_door(
            target.grpc_address, collector, ordered=plan.ordered
        ) as door:
            return await play(plan, door, collector, progress=told)
    async with kafka_door(
        target.kafka, collector, from_now=session.into_live
    ) as stream:
        return await play(plan, stream, collector, progress=told)
