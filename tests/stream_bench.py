"""A bench of the stream tests: topics and a store of a test's own, and workers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiokafka import AIOKafkaConsumer
from stream_parts import Worker, committed, count, send

SESSION = {"SCORING_COMMIT_INTERVAL_S": "0.5", "SCORING_POLL_RECORDS_MAX": "200"}


class StreamBench:
    """Topics of this test's own, a store of its own, and workers on both."""

    def __init__(self, broker, store, prefix, model_dir, directory):
        self.broker, self.store, self.prefix = broker, store, prefix
        self.directory: Path = directory
        self.workers: list[Worker] = []
        self.env = {
            "SCORING_KAFKA_BOOTSTRAP": broker.bootstrap,
            "SCORING_REDIS_URL": store.url,
            "SCORING_TOPIC_PREFIX": prefix,
            "SCORING_MODEL_DIR": str(model_dir),
            "SCORING_STATE_DIR": str(directory),
            "SCORING_FETCH_WAIT_MS": str(broker.fetch_wait_ms),
            "SCORING_SESSION_TIMEOUT_S": str(broker.session_timeout_s),
            **SESSION,
        }

    def worker(self, *arguments: str, **env: str) -> Worker:
        log = self.directory / f"worker-{len(self.workers)}.log"
        log.touch()
        worker = Worker(self.env | env, log, arguments)
        self.workers.append(worker)
        return worker.start()

    async def send(self, inputs, *, rate=0, topic="transactions"):
        await send(self.broker.bootstrap, self.prefix + topic, inputs, rate=rate)

    async def count(self, until, **kwargs):
        return await count(self.broker.bootstrap, self.prefix, until=until, **kwargs)

    async def values(self, topic: str, n: int) -> list[bytes]:
        """The first `n` values of one of its topics, as they lie there."""
        consumer = AIOKafkaConsumer(
            self.prefix + topic,
            bootstrap_servers=self.broker.bootstrap,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        found = [(await consumer.getone()).value for _ in range(n)]
        await consumer.stop()
        return found

    async def committed(self) -> int:
        return await committed(self.broker.bootstrap, self.prefix)

    async def labels_taken(self, n: int, *, topic: str = "labels") -> None:
        """Wait until the group has committed `n` labels, or lifecycle events."""
        while await committed(self.broker.bootstrap, self.prefix, topic=topic) < n:
            await asyncio.sleep(0.1)

    async def label_letters(self, n: int, *, kind: str = "labels"):
        return await count(
            self.broker.bootstrap,
            self.prefix,
            until=n,
            topics=("decisions", f"{kind}.dead-letter"),
        )

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
