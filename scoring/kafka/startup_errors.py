"""Contact with a broker: where the first fails, one clear line; later, patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownError

from scoring.core.transaction.card_number import masked
from scoring.errors import BadArtifact, LogUnavailable
from scoring.kafka.client_logs import listening

_PAUSE_S = 0.1
_PAUSE_S_MAX = 1.0
_UNCOMMITTED = 0
# What a client says of settings that no waiting makes right.
_REFUSALS = (
    "AuthenticationFailed",
    "CERTIFICATE_VERIFY_FAILED",
    "UnsupportedSaslMechanism",
    "IllegalSaslState",
)
C = TypeVar("C", bound=Any)


@contextmanager
def first_contact(bootstrap: str) -> Iterator[None]:
    """Around a client's start; raises `LogUnavailable` with what the client knows.

    `BadArtifact` where a broker answers, and says that our settings are wrong.

    The client logs why it could not connect and raises that it could not. That a
    broker lacks idempotence (`UnknownError`) passes: it is an answer.
    """
    _refuse_address(bootstrap)
    with listening() as heard:
        try:
            yield
        except UnknownError:
            raise
        except (KafkaError, OSError) as error:
            reason = _plain(heard.lines[0] if heard.lines else str(error))
            refused = any(sign in reason for sign in _REFUSALS)
            raise (BadArtifact if refused else LogUnavailable)(
                f"no broker answers at {bootstrap}: {reason or 'no answer in time'}; "
                "see SCORING_KAFKA_BOOTSTRAP and SCORING_KAFKA_OPTIONS"
            ) from error
        except ValueError as error:  # of its own making: an address, or an option
            raise BadArtifact(
                f"{bootstrap}: cannot be used: {error}; see SCORING_KAFKA_BOOTSTRAP "
                "and SCORING_KAFKA_OPTIONS"
            ) from error


async def started(client: C, bootstrap: str) -> C:
    """Start an aiokafka client, or close it again; raises as `first_contact`."""
    with first_contact(bootstrap):
        try:
            await client.start()
        except BaseException:
            await (client.stop if hasattr(client, "stop") else client.close)()
            raise
    return patient(client)


def patient(client: C, failed: Callable[[], None] = lambda: None) -> C:
    """Have a client pause after each update of its metadata that failed.

    Without a broker an update fails at once; whoever in the client waits for the
    leader of a partition would ask again at once, 6,000 times a second. `failed` is
    called each time.
    """
    inner = client.client if hasattr(client, "client") else client._client  # noqa: SLF001
    update = inner._metadata_update  # noqa: SLF001
    pause_s = _PAUSE_S

    async def updated(*args: Any) -> bool:
        nonlocal pause_s
        if await update(*args):
            pause_s = _PAUSE_S
            return True
        failed()
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSE_S_MAX)
        return False

    inner._metadata_update = updated  # noqa: SLF001
    return client


@asynccontextmanager
async def reader(
    bootstrap: str, options: Mapping[str, Any], *topics: str, **settings: Any
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that commits nothing by itself and is given committed records only.

    Raises as `first_contact`.
    """
    with first_contact(bootstrap):  # options are refused as early as here
        consumer = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
            **options,
            **settings,
        )
    await started(consumer, bootstrap)
    try:
        yield consumer
    finally:
        # A client that is stopped before its tasks ever ran raises their cancellation.
        await asyncio.sleep(0)
        await consumer.stop()


async def appended_ends(
    consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """Where partitions end with what is not committed, for such a reader.

    Where they end with what it can be given is `end_offsets`.
    """
    fetcher = consumer._fetcher  # noqa: SLF001 - it asks by its own level
    level, fetcher._isolation_level = fetcher._isolation_level, _UNCOMMITTED  # noqa: SLF001
    try:
        found: dict[TopicPartition, int] = await consumer.end_offsets(list(places))
    finally:
        fetcher._isolation_level = level  # noqa: SLF001
    return found


def _refuse_address(bootstrap: str) -> None:
    """Raises `BadArtifact` for a URL, whose scheme would be taken for a host's name."""
    for place in bootstrap.split(","):
        if set(place) & set("/@"):  # not repeated: a password may be in it
            raise BadArtifact(
                "SCORING_KAFKA_BOOTSTRAP: write host:port, comma separated, without a "
                "scheme, user or path; users and passwords go to SCORING_KAFKA_OPTIONS"
            )


def _plain(reason: str) -> str:
    """One line, without the opening that repeats the address.

    >>> _plain('Unable connect to "kafka:9092": [Errno 111] refused')
    '[Errno 111] refused'
    """
    told = reason.partition('": ')[2] if reason.startswith("Unable connect") else reason
    return masked(" ".join(told.split()).encode())[0].decode(errors="replace")
