"""What a scrape reads of the parts of a process, and the tasks that look for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from scoring.doors.auth.certificates import CertificateFiles
from scoring.errors import StoreUnavailable
from scoring.kafka.producer import KafkaLog
from scoring.pipeline.circuit_breaker import Circuit, State
from scoring.pipeline.micro_batcher import MicroBatcher
from scoring.pipeline.outbox_relay import OutboxRelay
from scoring.pipeline.reconciler import Provisional
from scoring.ports.metrics import Metric, decisions, outside, versions
from scoring.stores.redis.script_client import StoreUsage
from scoring.stores.redis.store import RedisStore
from scoring.telemetry.prometheus import PrometheusTelemetry

_MS_PER_S = 1_000
_LOOP_S = 0.25
# A look costs the store a tenth of a millisecond.
_STORE_S = 15.0


class Shows(Protocol):
    """Has a scrape read a gauge: `PrometheusTelemetry.shows`."""

    def __call__(
        self, metric: Metric, read: Callable[[], float | None], /, *at: str
    ) -> None:
        """See there."""
        ...


def show_circuit(shows: Shows, circuit: Circuit, log: KafkaLog | None) -> None:
    """The circuit breaker, and why a system is not asked."""
    for state in State:
        name = state.value.replace("-", "_")
        shows(outside.CIRCUIT, partial(_is, circuit, state), name)
    for reason in outside.REASONS:
        shows(outside.REASON, partial(_because, circuit, reason), "store", reason)
    if log is not None:
        shows(outside.REASON, lambda: not log.in_contact, "log", "no_contact")
        waits = partial(_waits, log)
        shows(outside.REASON, waits, "log", "waiting")


def _is(circuit: Circuit, state: State) -> bool:
    return circuit.state is state


def _because(circuit: Circuit, reason: str) -> bool:
    return circuit.reason == reason


def _waits(log: KafkaLog) -> bool:
    return log.in_contact and log.unavailable


def show_kept(
    shows: Shows,
    provisional: Provisional,
    relay: OutboxRelay | None,
    now_ms: Callable[[], int],
) -> None:
    """What waits for the store, and for the log."""

    def age_s() -> float:
        at_ms = provisional.oldest_at_ms
        return 0.0 if at_ms is None else (now_ms() - at_ms) / _MS_PER_S

    shows(outside.PROVISIONAL, lambda: provisional.count)
    shows(outside.PROVISIONAL_AGE, age_s)
    shows(outside.SPOOL, lambda: provisional.spool.bytes_used)
    if relay is None:
        return
    loop = asyncio.get_running_loop()

    def waiting_s() -> float:
        since = relay.waiting_since
        return 0.0 if since is None else loop.time() - since

    shows(outside.LOG_WAITING, lambda: relay.waiting_count)
    shows(outside.LOG_WAITING_AGE, waiting_s)
    shows(outside.OUTBOX, lambda: relay.outbox_count)


def show_queue(shows: Shows, batcher: MicroBatcher) -> None:
    """How many checks wait, and how many are being decided."""
    shows(decisions.WAITING, lambda: batcher.waiting_count)
    shows(decisions.DECIDING, lambda: batcher.deciding_count)


def show_certificates(shows: Shows, files: CertificateFiles) -> None:
    """When they expire."""
    for name in ("server", "client_ca"):
        shows(versions.CERTIFICATE, partial(files.expires_at.get, name), name)


async def watch_loop(telemetry: PrometheusTelemetry) -> None:
    """Measure how late the event loop wakes up, until cancelled."""
    while True:
        due = time.monotonic() + _LOOP_S
        await asyncio.sleep(_LOOP_S)
        telemetry.loop_lag.observe(max(time.monotonic() - due, 0.0))


async def watch_store(telemetry: PrometheusTelemetry, store: RedisStore) -> None:
    """Keep what the store's servers use, until cancelled; NaN while unavailable."""
    used: StoreUsage | None = None

    def read(field: str) -> float | None:
        found: float | None = getattr(used, field, None)
        return found

    shown: tuple[tuple[Metric, str], ...] = (
        (outside.STORE_MEMORY, "memory_bytes"),
        (outside.STORE_MEMORY_MAX, "memory_bytes_max"),
        (outside.SCRIPT_SECONDS, "script_s"),
        (outside.SCRIPT_CALLS, "script_calls"),
    )
    for metric, field in shown:
        telemetry.shows(metric, partial(read, field))
    while True:
        used = None
        # What a proxy before the store leaves out is not known either.
        with suppress(StoreUnavailable, KeyError, ValueError):
            used = await store.usage()
        await asyncio.sleep(_STORE_S)
