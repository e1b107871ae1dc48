"""What lies outside, the store and the log: built, and asked for the first time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from scoring import wire
from scoring.core.features.catalogue import Catalogue
from scoring.errors import BadArtifact, LogUnavailable, StoreUnavailable
from scoring.kafka.client_options import client_options
from scoring.kafka.producer import KafkaLog, nobody_counts
from scoring.kafka.schema_registry import SchemaRegistry
from scoring.kafka.topic_names import Topics
from scoring.pipeline.reconciler import Provisional
from scoring.ports.telemetry import Telemetry
from scoring.settings import Settings
from scoring.stores.redis.address import StoreAddress
from scoring.stores.redis.options import StoreOptions
from scoring.stores.redis.store import RedisStore

_MS_PER_S = 1_000
# How long a start waits for a broker that says nothing, and when it asks again.
_CONTACT_S, _CONTACT_RETRY_S = 5.0, 1.0
_EMPTY = "it is empty, and only the log knows whether it lost its history"
CONTENT_TYPES = {"protobuf": wire.PROTOBUF, "json": wire.JSON}


def address_from(settings: Settings) -> StoreAddress:
    """Where the store is; raises `BadArtifact` without a URL."""
    if not settings.redis_url:
        raise BadArtifact(
            "SCORING_REDIS_URL is not set: name your store, such as "
            "redis://127.0.0.1:6379/0, or try `scoring demo`, which brings its own"
        )
    return StoreAddress(
        settings.redis_url,
        cluster=settings.redis_cluster,
        sentinels=settings.redis_sentinels,
        sentinel_username=settings.redis_sentinel_username,
        sentinel_password=settings.redis_sentinel_password.get_secret_value(),
    )


def store_from(
    settings: Settings, catalogue: Catalogue, log: KafkaLog | None
) -> RedisStore:
    """The store, not asked yet; raises `BadArtifact` without a URL.

    An empty one asks the log whether its history was lost.
    """
    options = StoreOptions(
        catalogue=catalogue,
        namespace=settings.namespace,
        lateness_ms=settings.lateness_s * _MS_PER_S,
        dedupe_ms=settings.dedupe_s * _MS_PER_S,
        had_history=partial(_had_history, settings, log),
        silence_s=settings.store_budget_ms / _MS_PER_S,
    )
    return RedisStore.unopened(address_from(settings), options)


async def _had_history(settings: Settings, log: KafkaLog | None) -> bool:
    """Whether the log holds decisions, which an empty store would not know.

    Raises `StoreUnavailable` where nobody can tell; at once where the log is not in
    contact, which may be silent for as long as a client is patient.
    """
    if log is None:
        return False
    if not log.in_contact:
        raise StoreUnavailable(f"{_EMPTY}: it has not answered yet")
    from scoring.kafka.reader import holds_history

    try:
        return await holds_history(
            settings.kafka_bootstrap,
            Topics(settings.topic_prefix).decisions,
            options=client_options(settings.kafka_options),
        )
    except LogUnavailable as error:
        raise StoreUnavailable(f"{_EMPTY}: {error}") from error


async def log_from(
    settings: Settings, telemetry: Telemetry | None = None
) -> KafkaLog | None:
    """A log in contact with its broker, or None where none is named."""
    log = unconnected_log(settings, telemetry)
    if log is not None:
        await log.contact()
    return log


def unconnected_log(settings: Settings, telemetry: Telemetry | None) -> KafkaLog | None:
    """The log, not asked yet; None where no broker is named."""
    if not settings.kafka_bootstrap:
        return None
    return KafkaLog.unconnected(
        settings.kafka_bootstrap,
        options=settings.kafka_options,
        find_frames=partial(_frames, settings),
        count=telemetry.count if telemetry else nobody_counts,
    )


def systems_outside(
    provisional: Provisional, log: KafkaLog | None
) -> dict[str, Callable[[], bool]]:
    """Whether each of them is asked just now, by name."""
    outside = {"store": lambda: provisional.store_available}
    if log is not None:
        outside["log"] = lambda: not log.unavailable
    return outside


async def contacted(
    log: KafkaLog | None, wrong: asyncio.Future[None], tried: asyncio.Event
) -> None:
    """Return when the log has answered, `tried` once; `wrong` gets what no waiting
    makes right.
    """
    while log is not None:
        try:
            await log.contact()
        except LogUnavailable:
            tried.set()
            await asyncio.sleep(_CONTACT_RETRY_S)
        except BadArtifact as error:
            settle(wrong, error)
            return
        else:
            return


@asynccontextmanager
async def contact(
    provisional: Provisional, log: KafkaLog | None
) -> AsyncIterator[asyncio.Future[None]]:
    """Ask both once, and continue without what is unavailable; raises `BadArtifact`.

    The future fails with what a system says later that no waiting makes right.
    """
    loop = asyncio.get_running_loop()
    wrong, tried = loop.create_future(), asyncio.Event()
    provisional.refused = partial(settle, wrong)
    contacting = loop.create_task(contacted(log, wrong, tried))
    trying = loop.create_task(tried.wait())
    try:
        # In turn: an empty store asks the log whether it is a new one.
        first = asyncio.FIRST_COMPLETED
        await asyncio.wait((contacting, trying), timeout=_CONTACT_S, return_when=first)
        await provisional.start()
        if wrong.done():
            wrong.result()
        yield wrong
    finally:
        contacting.cancel()
        trying.cancel()


def settle(wrong: asyncio.Future[None], error: BadArtifact) -> None:
    """Take note of what no waiting makes right; the first to say so is heard."""
    if not wrong.done():
        wrong.set_exception(error)


def _frames(settings: Settings) -> dict[str, bytes]:
    """What is before the values that we write; nothing without a registry."""
    if not settings.schema_registry_url:
        return {}
    return SchemaRegistry(
        settings.schema_registry_url, settings.schema_registry_registers
    ).frames(
        Topics(settings.topic_prefix),
        content_type=CONTENT_TYPES[settings.decision_format],
    )
