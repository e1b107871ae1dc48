"""Creates the topics, and asks the broker what they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from scoring.errors import BadArtifact, LogUnavailable
from scoring.kafka.startup_errors import started
from scoring.kafka.topic_incarnation import of_another, topic_ids
from scoring.kafka.topic_layout import TopicDescription, TopicLayout
from scoring.kafka.topic_names import Topics

_SEEN_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.1


@contextmanager
def _unheard(name: str) -> Iterator[None]:
    """Let a library's logger say nothing of an answer that the broker cannot give."""
    logger = logging.getLogger(name)
    was, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was


@dataclass(slots=True)
class TopicAdmin:
    """Asks one broker; use as an async context."""

    bootstrap: str
    options: Mapping[str, Any]
    _client: Any = None

    async def __aenter__(self) -> Self:
        """Connect; raises `LogUnavailable`."""
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, **self.options)
        self._client = await started(client, self.bootstrap)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._client.close()

    async def create(self, topics: Topics, layout: TopicLayout) -> list[str]:
        """Create what is missing and wait until every broker may show it.

        Returns the names created. Raises `BadArtifact`.
        """
        wanted = [
            NewTopic(
                topic,
                layout.partitions_of(topics, topic),
                layout.replication,
                topic_configs=layout.configs(topics, topic),
            )
            for topic in topics.created
        ]
        response = await self._accepted(wanted)
        created = []
        for topic, code, said in response.topic_errors:
            if code == 0:
                created.append(topic)
            elif code != TopicAlreadyExistsError.errno:
                raise BadArtifact(f"{topic}: the broker refused it: {said or code}")
        await self._until_seen(topics.created)
        return created

    async def _accepted(self, wanted: Sequence[NewTopic]) -> Any:
        """The controller's answer; a broker just started may not know one yet."""
        deadline = asyncio.get_running_loop().time() + _SEEN_WITHIN_S
        while True:
            try:
                return await self._client.create_topics(wanted)
            except AttributeError as error:  # what the client makes of no controller
                if asyncio.get_running_loop().time() > deadline:
                    raise LogUnavailable(
                        f"{self.bootstrap} knows no controller after "
                        f"{_SEEN_WITHIN_S:g} s; look at the brokers' logs"
                    ) from error
                await asyncio.sleep(_LOOK_EVERY_S)

    async def _until_seen(self, names: Sequence[str]) -> None:
        # A controller acknowledges a topic before the brokers have heard of it.
        deadline = asyncio.get_running_loop().time() + _SEEN_WITHIN_S
        while missing := [
            t.name for t in (await self.found(names)).values() if not t.exists
        ]:
            if asyncio.get_running_loop().time() > deadline:
                raise LogUnavailable(
                    f"{', '.join(missing)}: created, and not shown by the broker "
                    f"after {_SEEN_WITHIN_S:g} s; look at the controller's log"
                )
            await asyncio.sleep(_LOOK_EVERY_S)

    async def found(self, names: Sequence[str]) -> dict[str, TopicDescription]:
        """The topics as they are; a missing one has no partitions."""
        described = {
            topic["topic"]: topic["partitions"]
            for topic in await self._client.describe_topics(list(names))
        }
        existing = [name for name in names if described.get(name)]
        configs = await self._configs(existing)
        ids = await self.ids(existing)
        return {
            name: TopicDescription(
                name,
                len(described.get(name) or ()),
                min((len(p["replicas"]) for p in described.get(name) or ()), default=0),
                configs.get(name, {}),
                ids.get(name, ""),
            )
            for name in names
        }

    async def ids(self, names: Sequence[str]) -> dict[str, str]:
        """The ids of the topics that are there; empty where the broker tells none."""
        return await topic_ids(self._client._client, names)  # noqa: SLF001

    async def remade(
        self, group: str, found: Mapping[str, TopicDescription]
    ) -> list[str]:
        """What a group committed of topics that have been made again since."""
        try:
            with _unheard("aiokafka.conn"):
                committed = await self._client.list_consumer_group_offsets(group)
        except (KafkaError, NotImplementedError):  # no such group, or no way to ask
            return []
        topics = {
            place.topic
            for place, said in committed.items()
            if place.topic in found and of_another(said.metadata, found[place.topic].id)
        }
        return [
            f"{topic} was made again since {group} committed its offsets: a worker "
            "reads it from its start and decides what has no decision"
            for topic in sorted(topics)
        ]

    async def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        responses = await self._client.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        )
        return {
            resource[3]: {entry[0]: entry[1] for entry in resource[4]}
            for response in responses
            for resource in response.resources
        }


async def create_topics(
    client: Mapping[str, Any], topics: Topics, *, partitions: int
) -> None:
    """Create the topics of a run of a moment, one replica each.

    `client` holds the options of an aiokafka client, bootstrap_servers among them.
    """
    options = dict(client)
    bootstrap = options.pop("bootstrap_servers")
    async with TopicAdmin(bootstrap, options) as admin:
        await admin.create(topics, TopicLayout(partitions=partitions, replication=1))
