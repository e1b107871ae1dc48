"""Creates the topics of a demo or a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


async def create_topics(
    client: Mapping[str, Any], names: Sequence[str], *, partitions: int
) -> None:
    """Create topics with the same partition count; one replica each.

    `client` holds the options of an aiokafka client, bootstrap_servers among them.

    For runs of a moment: a live topology is made by `scoring topics create`.
    """
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
    finally:
        await admin.close()
