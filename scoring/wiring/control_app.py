"""The wiring of `scoring control`: desks, API, relay, and who is let in."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from scoring.control.api.app import control_api
from scoring.control.api.health import Condition
from scoring.control.api.identity import (
    Identity,
    LocalAdmin,
    ProviderRoles,
    TrustedProxy,
    networks_of,
)
from scoring.control.api.plane import Plane
from scoring.control.api.requests import AsgiApp, Message, Receive, Scope, Send
from scoring.control.backtest_runner import BacktestRunner
from scoring.control.control_topic import KafkaRelayTopic
from scoring.control.database.database import Database
from scoring.control.database.relaying import LeaseTable, RelayedOutbox
from scoring.control.desks.audit_desk import AuditDesk
from scoring.control.desks.backtest_desk import BacktestDesk
from scoring.control.desks.case_desk import CaseDesk
from scoring.control.desks.forget_desk import ForgetDesk
from scoring.control.desks.list_desk import ListDesk
from scoring.control.desks.payment_desk import ArchivedPayments, PaymentDesk
from scoring.control.desks.people_desk import PeopleDesk
from scoring.control.desks.policy_desk import PolicyDesk
from scoring.control.desks.threshold_desk import LevelsByCost
from scoring.control.desks.topic_agreement import agree
from scoring.control.domain.people import Person, role_named
from scoring.control.domain.tokens import new_token, token_digest
from scoring.control.lease import TTL_MS, Lease
from scoring.control.relay import Relay
from scoring.control.replicas import ReplicaReports, Replicas
from scoring.doors.http.server import HttpOptions, HttpServer
from scoring.doors.http.tls import context_of
from scoring.errors import BadArtifact, InvalidTransaction
from scoring.kafka.client_options import client_options
from scoring.kafka.topic_names import Topics
from scoring.settings import Settings
from scoring.telemetry.control_metrics import ControlMetrics
from scoring.telemetry.http_port import Liveness, open_metrics_port
from scoring.wiring.backtest_work import backtest_runner_from
from scoring.wiring.calls import certificates_from, tokens_from
from scoring.wiring.control_cases import case_work_from
from scoring.wiring.control_parts import (
    case_rules_from,
    control_rules_from,
    database_from,
    model_desk_from,
    policy_texts_from,
)
from scoring.wiring.control_upkeep import looking, pruning
from scoring.wiring.definitions import policy_text_from
from scoring.wiring.services import now_ms
from scoring.wiring.supervision import kept_running

log = logging.getLogger(__name__)
TOKEN_FILE = "control.token"  # noqa: S105 - the name of a file
_MS_PER_S = 1_000
_OWNER_ONLY = 0o600
_CONNECTIONS_MAX = 256


@dataclass(slots=True)
class ControlApp:
    """The API as the HTTP server serves it; each answer is counted by its status."""

    api: AsgiApp
    answered: Callable[[int], None]
    monotonic: Callable[[], float] = time.monotonic
    ready: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answered(message["status"])
            await send(message)

        await self.api(scope, receive, counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlProcess:
    """Everything of the process, built and not yet listening.

    `token_file` holds the local admin's token; None where there is no such person.
    """

    server: HttpServer
    relay: Relay | None
    token_file: Path | None
    secured: bool
    liveness: Liveness = field(default_factory=Liveness)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' * self.secured}://{self.server.address}"


def plane_from(
    settings: Settings, database: Database, *, person: Person | None = None
) -> Plane:
    """The desks on a database, for a person at the shell; raises `BadArtifact`."""
    texts = policy_texts_from(settings)
    return Plane(
        database=database,
        texts=texts,
        policies=PolicyDesk(
            database,
            texts,
            control_rules_from(settings),
            now_ms,
            settled=lambda: texts.of(policy_text_from(settings)).version,
        ),
        lists=ListDesk(database, now_ms),
        backtests=BacktestDesk(
            database,
            texts,
            now_ms,
            settled=partial(policy_text_from, settings),
            archived=settings.archive_dir is not None,
        ),
        models=model_desk_from(settings, database),
        cases=CaseDesk(database, now_ms, case_rules_from(settings)),
        forgetting=ForgetDesk(database, now_ms),
        people=PeopleDesk(database, now_ms=now_ms),
        audit=AuditDesk(database),
        replicas=Replicas(now_ms, round(settings.control_lag_s * _MS_PER_S)),
        person=person,
    )


@asynccontextmanager
async def control_process_from(
    settings: Settings,
    archive: ArchivedPayments | None = None,
    *,
    levels: LevelsByCost | None = None,
) -> AsyncIterator[ControlProcess]:
    """The process with its relay at work, until the block ends.

    Archived payments are looked up in the `archive`; `levels` chooses thresholds by
    cost.

    Raises `BadArtifact`, `DatabaseUnavailable` and `CannotListen`.
    """
    database = await asyncio.to_thread(database_from, settings)
    relay = relay_from(settings, database)
    plane = replace(plane_from(settings, database), payments=PaymentDesk(archive))
    cases = case_work_from(settings, database, holder_name())
    identity, token_file = identity_from(settings, plane.people)
    runner = backtest_runner_from(plane.backtests, database, holder_name())
    committed = _waker(relay, cases.labels, runner)
    plane = replace(plane, identity=identity, committed=committed, levels=levels)
    liveness = Liveness(outside=_outside(relay) | cases.outside)
    metrics = ControlMetrics()
    server = HttpServer(_app_from(plane, liveness, metrics), _options(settings))
    if settings.metrics_port:
        open_metrics_port(settings.metrics_host, settings.metrics_port, liveness)
    tasks = [
        _kept("the look at replicas", lambda: looking(plane, relay, metrics)),
        _kept("the runner of backtests", runner.run),
        *cases.begin(metrics),
    ]
    if relay is not None:
        follow = partial(_reports(settings).follow, plane.replicas.heard)
        tasks.append(_kept("the relay", relay.run))
        tasks.append(_kept("the pruning", lambda: pruning(database, relay)))
        tasks.append(_kept("the reports of replicas", follow))
    else:
        log.warning(
            "SCORING_KAFKA_BOOTSTRAP is not set: releases wait here, and reach nobody"
        )
    try:
        yield ControlProcess(
            server=server,
            relay=relay,
            token_file=token_file,
            secured=settings.tls_cert_file is not None,
            liveness=liveness,
        )
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        database.close()


def _kept(what: str, run: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    return asyncio.create_task(kept_running(what, run))


def _app_from(plane: Plane, liveness: Liveness, metrics: ControlMetrics) -> ControlApp:
    app = ControlApp(_nothing, metrics.answered)
    app.api = control_api(plane, Condition(lambda: app.ready, liveness.outside))
    return app


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Nothing yet."""


def _waker(*woken: Relay | BacktestRunner | None) -> Callable[[], None]:
    """Wakes what waits for writes, from any thread."""
    loop = asyncio.get_running_loop()
    wakes = [each.wake for each in woken if each is not None]

    def waking() -> None:
        for wake in wakes:
            loop.call_soon_threadsafe(wake)

    return waking


def _outside(relay: Relay | None) -> dict[str, Callable[[], bool]]:
    return {} if relay is None else {"relay": lambda: not relay.fault}


def relay_from(settings: Settings, database: Database) -> Relay | None:
    """The relay, None without a broker; raises `BadArtifact`."""
    if not settings.kafka_bootstrap:
        return None
    topics = Topics(settings.topic_prefix)
    topic = KafkaRelayTopic(
        settings.kafka_bootstrap,
        client_options(settings.kafka_options),
        topics.control,
        f"{topics.control}-relay",
    )
    rows = LeaseTable(database, topics.control, lambda: now_ms() + TTL_MS)
    lease = Lease(rows, holder_name(), time.monotonic)
    return Relay(
        RelayedOutbox(database), topic, lease, now_ms, partial(agree, database)
    )


def holder_name() -> str:
    """A name that no other copy holds a lease under."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"


def _reports(settings: Settings) -> ReplicaReports:
    return ReplicaReports(
        settings.kafka_bootstrap,
        client_options(settings.kafka_options),
        Topics(settings.topic_prefix).control_replicas,
        settings.fetch_wait_ms,
        now_ms,
    )


# Who is let in --------------------------------------------------------------------


def identity_from(
    settings: Settings, people: PeopleDesk
) -> tuple[Identity, Path | None]:
    """Who is known and how, and the file of the local admin's token if there is one.

    Raises `BadArtifact` where strangers could reach an address at which nobody is
    asked who it is by an identity provider or a proxy.
    """
    tokens = tokens_from(settings, settings.control_roles_claim)
    proxy = _proxy_from(settings)
    provided = tokens is not None or proxy is not None
    local, token_file = None, None
    if not provided:
        _refuse_strangers(settings.control_address)
        token_file = settings.state_dir / TOKEN_FILE
        local = LocalAdmin(token_digest(kept_token(token_file)))
    identity = Identity(
        people=people,
        local=local,
        tokens=tokens,
        proxy=proxy,
        provider=_provider_from(settings),
    )
    return identity, token_file


def _provider_from(settings: Settings) -> ProviderRoles:
    try:
        names = {
            name: role_named(role) for name, role in settings.control_roles.items()
        }
    except InvalidTransaction as error:
        raise BadArtifact(f"SCORING_CONTROL_ROLES: {error.message}") from error
    return ProviderRoles(names)


def _proxy_from(settings: Settings) -> TrustedProxy | None:
    if not settings.control_proxies:
        return None
    return TrustedProxy(
        networks_of(settings.control_proxies),
        settings.control_proxy_person_header.lower(),
        settings.control_proxy_roles_header.lower(),
    )


def _refuse_strangers(address: str) -> None:
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    raise BadArtifact(
        f"SCORING_CONTROL_ADDRESS: {address} can be reached from elsewhere, and nobody "
        "would be asked who it is: set SCORING_JWT_JWKS_FILE or "
        "SCORING_CONTROL_PROXIES, or listen on 127.0.0.1"
    )


def kept_token(file: Path) -> str:
    """The local admin's token in its file, which its owner alone may read.

    Made where there is none; raises `BadArtifact` for a file that others may read.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except FileExistsError:
        return _read_token(file)
    token = new_token()
    with os.fdopen(opened, "w") as writing:
        writing.write(f"{token}\n")
    return token


def _read_token(file: Path) -> str:
    if file.stat().st_mode & 0o077:
        raise BadArtifact(
            f"{file}: others may read it; delete it, and start again with a new token"
        )
    token = file.read_text().strip()
    if not token:
        raise BadArtifact(f"{file}: is empty; delete it, and start again")
    return token


def _options(settings: Settings) -> HttpOptions:
    files = certificates_from(settings)
    return HttpOptions(
        address=settings.control_address,
        connections_max=_CONNECTIONS_MAX,
        idle_s=settings.http_idle_s,
        certificates=context_of(files) if files else None,
    )
