"""The wiring of `scoring console`: pages, their sources, and what lets strangers in."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from scoring import client
from scoring.client.control_plane import ControlApi, OverHttp
from scoring.console import assets
from scoring.console.app import console_app
from scoring.console.follow import FollowedDecisions, tick
from scoring.console.live import LiveFeed
from scoring.console.pages import Pages
from scoring.console.payments.decisions import CatalogueNames, ServicePayments
from scoring.console.sessions import Sessions
from scoring.console.visit import Desk
from scoring.doors.http.server import HttpOptions, HttpServer
from scoring.doors.http.tls import context_of
from scoring.errors import BadArtifact
from scoring.kafka.client_options import client_options
from scoring.kafka.topic_names import Topics
from scoring.settings import Settings
from scoring.wiring.calls import certificates_from
from scoring.wiring.definitions import catalogue_from
from scoring.wiring.supervision import kept_running

_CONNECTIONS_MAX = 256
_CONNECTIONS_PER_ADDRESS_MAX = 64
_CONTROL_S = 5.0  # a page that takes longer has failed its reader


@dataclass(frozen=True, slots=True)
class ConsoleProcess:
    """Everything of the process, built and not yet listening."""

    server: HttpServer
    desk: Desk

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http{'s' * self.desk.secured}://{self.server.address}"


@asynccontextmanager
async def console_process_from(
    settings: Settings, payments: client.Client
) -> AsyncIterator[ConsoleProcess]:
    """The process, which follows the decisions until the block ends.

    Raises `BadArtifact` and `CannotListen`.
    """
    files = certificates_from(settings)
    encrypted = files is not None or settings.console_behind_tls
    if not encrypted:
        _refuse_plain_tokens(settings.console_address)
    desk = desk_from(settings, payments, secured=encrypted)
    app = console_app(desk)
    options = HttpOptions(
        address=settings.console_address,
        connections_max=_CONNECTIONS_MAX,
        # A proxy's connections are everybody's.
        connections_per_address_max=(
            0 if settings.console_behind_tls else _CONNECTIONS_PER_ADDRESS_MAX
        ),
        idle_s=settings.http_idle_s,
        certificates=context_of(files) if files else None,
    )
    work = [kept_running("the live figures", lambda: tick(desk.live, desk.pages))]
    if settings.kafka_bootstrap:
        follow = partial(_followed(settings).follow, desk.live)
        work.append(kept_running("the reading of decisions", follow))
    else:
        desk.live.fault = "SCORING_KAFKA_BOOTSTRAP is not set: name your brokers"
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield ConsoleProcess(HttpServer(app, options), desk)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def desk_from(settings: Settings, payments: client.Client, *, secured: bool) -> Desk:
    """What pages are made from; raises `BadArtifact`."""
    files = assets.loaded()
    return Desk(
        control=control_from(settings),
        payments=ServicePayments(payments),
        live=LiveFeed(time.monotonic, settings.budget_ms),
        names=CatalogueNames(catalogue_from(settings)),
        sessions=Sessions(time.monotonic),
        assets=files,
        pages=Pages({name: file.tag for name, file in files.items()}),
        secured=secured,
    )


def control_from(settings: Settings) -> Callable[[str], ControlApi]:
    """The control plane as the holder of a token reaches it."""
    url = settings.control_url or f"http://{settings.control_address}"
    roots, plain = settings.control_ca_file, settings.control_plain_http
    return lambda token: ControlApi(OverHttp(url, token, roots, plain, _CONTROL_S))


def _followed(settings: Settings) -> FollowedDecisions:
    return FollowedDecisions(
        settings.kafka_bootstrap,
        client_options(settings.kafka_options),
        Topics(settings.topic_prefix).decisions,
        settings.fetch_wait_ms,
    )


def _refuse_plain_tokens(address: str) -> None:
    """Raise `BadArtifact` where tokens would cross a network that others can read."""
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    raise BadArtifact(
        f"SCORING_CONSOLE_ADDRESS: {address} can be reached from elsewhere, and tokens "
        "would cross the network as they are: set SCORING_TLS_CERT_FILE and "
        "SCORING_TLS_KEY_FILE, or SCORING_CONSOLE_BEHIND_TLS where a proxy encrypts"
    )
