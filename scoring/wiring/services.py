"""Builds the parts that all doors share and wires them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from scoring.core.features.catalogue import Catalogue
from scoring.core.features.rates import Rates
from scoring.core.features.row import row_of
from scoring.core.policy.in_force import InForce
from scoring.kafka.producer import KafkaLog
from scoring.kafka.topic_names import Topics
from scoring.models.loader import PULL_S, ModelSource
from scoring.models.reloader import POLL_S, ModelWatch
from scoring.models.remote_registry import RemoteModelRegistry
from scoring.models.signature import Trust
from scoring.pipeline.batch import Artifacts
from scoring.pipeline.budget import Budget
from scoring.pipeline.door_options import DoorOptions
from scoring.pipeline.outbox_relay import OutboxRelay
from scoring.pipeline.scorer import Scorer
from scoring.pipeline.store_gateway import StoreGateway
from scoring.ports.events import Event
from scoring.ports.model import Model
from scoring.ports.patience import StorePatience
from scoring.ports.spans import Traces
from scoring.ports.store import Store
from scoring.ports.telemetry import CallTelemetry, Telemetry
from scoring.settings import Settings
from scoring.stores.redis.store import RedisStore
from scoring.telemetry.decision_lines import DecisionLines
from scoring.telemetry.http_port import Liveness, open_metrics_port
from scoring.telemetry.prometheus import PrometheusTelemetry
from scoring.wiring.connections import (
    contact,
    store_from,
    systems_outside,
    unconnected_log,
)
from scoring.wiring.definitions import catalogue_from, policy_from, rates_from
from scoring.wiring.file_watch import FileWatch
from scoring.wiring.publishing import outbox_relay_from, provisional_from
from scoring.wiring.releases import Following, PolicyVersions
from scoring.wiring.traces import Traced, send_rest, traces_from
from scoring.wiring.watching import (
    Shows,
    show_circuit,
    show_kept,
    watch_loop,
    watch_store,
)

_MS_PER_S = 1_000
# A change of rates holds new batches back until those under way have ended: some
# milliseconds. One that takes longer has a store that does not answer.
_BATCH_ENDS_S = 1.0


@dataclass(frozen=True, slots=True)
class Service:
    """Everything a door needs, built and connected."""

    settings: Settings
    scorer: Scorer
    policies: PolicyVersions
    store: Store
    log: KafkaLog | None
    relay: OutboxRelay | None
    topics: Topics
    telemetry: Telemetry
    calls: CallTelemetry
    shows: Shows
    outside: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    liveness: Liveness = field(default_factory=Liveness)
    wrong: asyncio.Future[None] = field(default_factory=asyncio.Future)
    traces: Traces | None = None

    async def until(self, told: Callable[[], Awaitable[object]]) -> None:
        """Return when told to stop; raises `BadArtifact` where a system that failed
        at the start now says that our settings are wrong.
        """
        waiting = asyncio.ensure_future(told())
        await asyncio.wait((waiting, self.wrong), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self.wrong.done():
            self.wrong.result()


def now_ms() -> int:
    """Wall clock, milliseconds; for traces and receipts, never for meaning."""
    return time.time_ns() // 1_000_000


def models_from(settings: Settings, *, picks_target: bool = False) -> ModelSource:
    """Where models come from; raises `BadArtifact`.

    With `picks_target` (the stream door, whose batches are large) the setting may
    send large batches to the tensor form.
    """
    directory, trusted = settings.model_dir, settings.model_trust_file
    return ModelSource(
        directory,
        RemoteModelRegistry.at(settings.model_url, directory)
        if settings.model_url
        else None,
        Trust.from_file(trusted) if trusted else None,
        settings.tensor_rows_min if picks_target else 0,
        settings.tensor_device,
    )


def artifacts_from(settings: Settings, source: ModelSource | None = None) -> Artifacts:
    """Definitions, model and policy, proved to agree; raises `BadArtifact`."""
    catalogue = catalogue_from(settings)
    in_force = InForce(policy_from(settings, catalogue))
    return _artifacts(source or models_from(settings), catalogue, in_force)


def _artifacts(
    source: ModelSource, catalogue: Catalogue, in_force: InForce
) -> Artifacts:
    row_of(catalogue)  # made before the first payment comes
    model = source.load(source.first(), catalogue=catalogue)
    return Artifacts(catalogue, model, in_force)


@asynccontextmanager
async def service_from(
    settings: Settings,
    *,
    name: str,
    patience: StorePatience = StorePatience.WAIT,
    picks_target: bool = False,
) -> AsyncIterator[Service]:
    """Build a door's service and close it; `name` tells its spool from others'.

    Where it answers in time (the gRPC door) and there is a broker, decisions are
    carried to the decisions topic in the background; a door that waits (the stream
    door) appends its own. With `picks_target`, see `models_from`.
    """
    source = models_from(settings, picks_target=picks_target)
    catalogue = catalogue_from(settings)
    policies = PolicyVersions.of(settings, name, catalogue, now_ms)
    artifacts = _artifacts(source, catalogue, policies.first())
    traced = traces_from(settings, name)
    telemetry = _telemetry_from(settings, artifacts, traced)
    liveness = _liveness_from(settings)
    log = unconnected_log(settings, telemetry)
    store = store_from(settings, artifacts.catalogue, log)
    options = _options(settings, patience)
    gateway = _gateway(settings, store, telemetry, options)
    provisional = provisional_from(settings, name, gateway, options)
    scorer = Scorer(gateway, artifacts, provisional, telemetry, now_ms, options)
    carried_by = log if options.outbox else None
    relay = outbox_relay_from(settings, catalogue, provisional, carried_by)
    liveness.outside = outside = systems_outside(provisional, log)
    telemetry.watch(outside)
    show_circuit(telemetry.shows, gateway.circuit, log)
    show_kept(telemetry.shows, provisional, relay, now_ms)
    following = Following(policies, scorer, telemetry, now_ms())
    watching = _watches(settings, source, scorer, telemetry, store)
    try:
        async with contact(provisional, log) as wrong, following.running():
            yield Service(
                *(settings, scorer, policies, store, log, relay),
                *(Topics(settings.topic_prefix), telemetry, telemetry.calls),
                telemetry.shows,
                *(outside, liveness, wrong),
                traces=telemetry.tracing,
            )
    finally:
        for task in watching:
            task.cancel()
        if relay is not None:
            await relay.close(within_s=settings.drain_s)
        await provisional.close()
        if log is not None:
            await log.close()
        await store.close()
        await send_rest(traced)


def _telemetry_from(
    settings: Settings, artifacts: Artifacts, traced: Traced | None
) -> PrometheusTelemetry:
    lines = DecisionLines(settings.log_decisions_share)
    definitions = artifacts.catalogue.version
    tracing = None if traced is None else traced.tracing
    telemetry = PrometheusTelemetry(
        definitions=definitions, lines=lines, tracing=tracing
    )
    if traced is not None:
        telemetry.traced = traced.sender.fates
    telemetry.expect(artifacts.model)
    return telemetry


def _watches(
    settings: Settings,
    source: ModelSource,
    scorer: Scorer,
    telemetry: PrometheusTelemetry,
    store: RedisStore,
) -> list[asyncio.Task[None]]:
    """What is looked at while the service runs, begun."""
    watches = (
        _watch(source, scorer, telemetry),
        _follow_rates(settings, scorer, telemetry),
        watch_loop(telemetry),
        watch_store(telemetry, store),
    )
    return [asyncio.create_task(watch) for watch in watches]


def _options(settings: Settings, patience: StorePatience) -> DoorOptions:
    """Who answers in time has its decisions carried to the log, where there is one."""
    in_time = patience is StorePatience.ANSWER_IN_TIME
    carried = in_time and bool(settings.kafka_bootstrap)
    return DoorOptions(patience=patience, outbox=carried, log=carried)


def _gateway(
    settings: Settings, store: Store, telemetry: Telemetry, options: DoorOptions
) -> StoreGateway:
    budget = Budget(store_s=settings.store_budget_ms / _MS_PER_S)
    return StoreGateway(store, telemetry, time.monotonic, budget, options.patience)


def _liveness_from(settings: Settings) -> Liveness:
    liveness = Liveness()
    if settings.metrics_port:
        open_metrics_port(settings.metrics_host, settings.metrics_port, liveness)
    return liveness


async def _watch(
    source: ModelSource, scorer: Scorer, telemetry: PrometheusTelemetry
) -> None:
    """Swap the model whenever another one is promoted; batches keep what they have."""
    catalogue = scorer.artifacts.catalogue
    log = logging.getLogger(__name__)

    def take(model: Model) -> None:
        telemetry.expect(model)
        scorer.artifacts = replace(scorer.artifacts, model=model)
        telemetry.count(Event.MODEL_TAKEN)
        log.info("model %s decides from now on", model.version)

    def refused(why: str) -> None:
        telemetry.count(Event.MODEL_REFUSED)
        log.error("the promoted model is refused, the model in use stays: %s", why)

    await ModelWatch(
        source.directory,
        load=partial(source.load, catalogue=catalogue),
        take=take,
        refused=refused,
        refresh=source.refresh,
        poll_s=PULL_S if source.remote else POLL_S,
    ).follow(scorer.artifacts.model.version)


async def _follow_rates(
    settings: Settings, scorer: Scorer, telemetry: Telemetry
) -> None:
    """Convert by what the file says whenever it changes, from the next batch on."""
    file = settings.rates_file
    if file is None:
        return
    catalogue = scorer.artifacts.catalogue
    log = logging.getLogger(__name__)

    async def take(rates: Rates) -> bool:
        before = catalogue.exchange.rates.version
        if rates.version == before:
            return True
        if not await scorer.convert_by(rates, within_s=_BATCH_ENDS_S):
            return False
        telemetry.count(Event.RATES_TAKEN)
        log.info("exchange rates %s apply from now on, not %s", rates.version, before)
        return True

    def refused(why: str) -> None:
        telemetry.count(Event.RATES_REFUSED)
        kept = catalogue.exchange.rates.version
        log.error("the exchange rates are refused, %s stay in force: %s", kept, why)

    load = partial(rates_from, settings, catalogue.currency)
    await FileWatch([file], load, take, refused).follow()
