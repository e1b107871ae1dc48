"""What a process reports of itself reaches the control plane, and so does its end."""

import asyncio
import time
from contextlib import suppress

from stream_parts import create_topics

from scoring.control.replicas import ReplicaReports, Replicas
from scoring.core.release.replica import ReplicaReport
from scoring.kafka.topic_names import Topics
from scoring.releases.reporter import Reporter

WITHIN_S = 30


def now_ms():
    return time.time_ns() // 1_000_000


async def until(holds):
    async with asyncio.timeout(WITHIN_S):
        while not holds():
            await asyncio.sleep(0.05)


async def test_a_process_that_is_stopped_is_missed_by_nobody(broker, topic_prefix):
    names = ("control.replicas",)
    await create_topics(broker.bootstrap, topic_prefix, partitions=1, names=names)
    topic = Topics(topic_prefix).control_replicas
    replicas = Replicas(now_ms)
    reports = ReplicaReports(broker.bootstrap, {}, topic, 50, now_ms)
    following = asyncio.create_task(reports.follow(replicas.heard))
    told = ReplicaReport(
        replica="a", door="grpc", process=7, started_at_ms=1, at_ms=1, policy="p"
    )
    reporter = Reporter(broker.bootstrap, {}, topic, lambda: told, asyncio.Event())
    reporting = asyncio.create_task(reporter.run())
    await until(replicas.states)
    reporting.cancel()
    with suppress(asyncio.CancelledError):
        await reporting
    await until(lambda: not replicas.states())
    following.cancel()
