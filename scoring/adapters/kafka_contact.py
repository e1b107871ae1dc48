"""First contact with a broker: where it fails, one clear line says why."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka.errors import KafkaError, UnknownError

from scoring.core.card_number import masked
from scoring.errors import LogUnavailable

_CLIENT = "aiokafka"
C = TypeVar("C", bound=Any)


@dataclass(slots=True, eq=False)
class _Heard:
    """What the client said to its log, which is where it puts the reasons."""

    lines: list[str] = field(default_factory=list)

    def take(self, record: logging.LogRecord) -> bool:
        """Keep a line; False, so that it is not printed, too."""
        if record.levelno >= logging.ERROR:
            self.lines.append(record.getMessage())
        return False


@contextmanager
def first_contact(bootstrap: str) -> Iterator[None]:
    """Around a client's start; raises `LogUnavailable` with what the client knows.

    The client logs why it could not connect and raises that it could not. That a
    broker lacks idempotence (`UnknownError`) passes: it is an answer.
    """
    heard, logger = _Heard(), logging.getLogger(_CLIENT)
    handler = logging.Handler()
    handler.addFilter(heard.take)
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    except UnknownError:
        raise
    except (KafkaError, OSError) as error:
        reason = heard.lines[0] if heard.lines else str(error)
        raise LogUnavailable(
            f"no broker answers at {bootstrap}: {_plain(reason)}; see "
            "SCORING_KAFKA_BOOTSTRAP and SCORING_KAFKA_OPTIONS"
        ) from error
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


async def started(client: C, bootstrap: str) -> C:
    """Start an aiokafka client, or close it again; raises `LogUnavailable`."""
    with first_contact(bootstrap):
        try:
            await client.start()
        except BaseException:
            await (client.stop if hasattr(client, "stop") else client.close)()
            raise
    return client


def _plain(reason: str) -> str:
    """One line, without the opening that repeats the address.

    >>> _plain('Unable connect to "kafka:9092": [Errno 111] refused')
    '[Errno 111] refused'
    """
    told = reason.partition('": ')[2] if reason.startswith("Unable connect") else reason
    return masked(" ".join(told.split()).encode())[0].decode(errors="replace")
