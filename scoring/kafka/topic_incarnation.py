"""Which incarnation of a topic a position belongs to: the id that its cluster gave it.

A topic that is deleted and made again, or mirrored to another cluster, has its name and
other records under the same offsets. aiokafka asks for metadata without ids, so the
request is made here, of its own parts: version 10, of Kafka 2.8 and later. An older
broker tells none.
"""
# aiokafka's protocol is not typed for strict mode: its classes are Any.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import logging
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)
from prometheus_client import Counter

from scoring.ports.metrics import stream

log = logging.getLogger(__name__)
_METADATA, _WITH_IDS = 3, 10
_ID_BYTES = 16
_COMMITTED = "topic-id="
REMADE = Counter(*stream.REMADE.told)


class _Id(AbstractType[bytes]):
    """A UUID as its bytes."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(_ID_BYTES)


class _TopicIds(Response):
    API_KEY = _METADATA
    API_VERSION = _WITH_IDS
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("id", _Id),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_operations", Int32),
        ("tags", TaggedFields),
    )


class _AskTopicIds(RequestStruct):
    API_KEY = _METADATA
    API_VERSION = _WITH_IDS
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TopicIds
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("id", _Id), ("name", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIdsRequest(Request[_AskTopicIds]):
    """Asks for the ids of topics."""

    API_KEY = _METADATA

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_AskTopicIds]) -> _AskTopicIds:
        """The request in the one version that is known here."""
        topics: list[tuple[bytes, str, dict[int, bytes]]] = [
            (bytes(_ID_BYTES), topic, {}) for topic in self._topics
        ]
        return request_struct_class(
            topics,
            False,
            False,
            False,
            {},
        )


async def topic_ids(client: Any, topics: Sequence[str]) -> dict[str, str]:
    """The id of each topic that is there, by any aiokafka client of a broker.

    Empty where the broker tells none. Raises `KafkaError`.
    """
    if not topics:
        return {}
    try:
        told = await client.send(client.get_random_node(), TopicIdsRequest(topics))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return {}
    return {
        topic[1]: topic[2].hex()
        for topic in told.topics
        if topic[0] == 0 and any(topic[2])
    }


def committed_in(topic_id: str) -> str:
    """What is written down beside a committed offset.

    >>> of_another("", "a"), of_another(committed_in("a"), "a")
    (False, False)
    """
    return f"{_COMMITTED}{topic_id}" if topic_id else ""


def of_another(metadata: str, topic_id: str) -> bool:
    """Whether a commit says that it was made in another incarnation than this one.

    One that says nothing is an earlier release's or an operator's, and is believed.

    >>> of_another(committed_in("a"), "b"), of_another(committed_in("a"), "")
    (True, False)
    """
    said = metadata.startswith(_COMMITTED) and bool(topic_id)
    return said and metadata != committed_in(topic_id)


class OwnPositions(ConsumerRebalanceListener):
    """Has a group's member go to the start where the commit means another topic."""

    def __init__(self, consumer: Any, topic_id: str) -> None:
        self._consumer, self._topic_id = consumer, topic_id

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing: what was not committed is read again."""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Look at what is committed of these partitions."""
        said = await self._consumer._coordinator.fetch_committed_offsets(  # noqa: SLF001
            list(assigned)
        )
        remade = [
            place
            for place, commit in said.items()
            if of_another(commit.metadata, self._topic_id)
        ]
        if remade:
            log.warning(
                "%s was made again since it was read: its %d partitions here are read "
                "from their start",
                *(remade[0].topic, len(remade)),
            )
            REMADE.inc(len(remade))
            await self._consumer.seek_to_beginning(*remade)


def short(topic_id: str) -> int:
    """32 bits of an id, never 0; 0 where there is none.

    >>> short(""), short("00000001" + "f" * 24)
    (0, 1)
    """
    return int(topic_id[:8], 16) or 1 if topic_id else 0
