"""Creates the topics of a demo or a replay."""

from __future__ import annotations

from collections.abc import Sequence


async def create_topics(
    bootstrap: str, names: Sequence[str], *, partitions: int
) -> None:
    """Create topics with the same partition count; one replica each.

    For runs of a moment: a live topology is made by `scoring topics create`.
    """
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
    finally:
        await admin.close()
