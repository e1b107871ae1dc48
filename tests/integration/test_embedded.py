import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from scoring.demo.reading import read_topics
from scoring.embedded.broker import embedded_broker
from scoring.embedded.child import Child, accepts
from scoring.embedded.store import EmbeddedStore, embedded_store

# Whoever starts the tests in the background may have had SIGINT ignored.
PARENT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from scoring.embedded.store import EmbeddedStore
from scoring.embedded.broker import broker_in_directory
store = EmbeddedStore.in_directory(Path(sys.argv[1]))
store.start()
broker = broker_in_directory(Path(sys.argv[1]))
broker.start()
print(store.child.pid, broker.pid, flush=True)
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def wait_until_dead(pids: list[int]) -> None:
    while any(map(is_alive, pids)):  # the suite's own timeout bounds this
        time.sleep(0.01)


def test_the_embedded_store_never_evicts_and_keeps_nothing_on_disk():
    with embedded_store() as url:
        client = Redis.from_url(url)
        assert client.config_get("maxmemory-policy") == {
            "maxmemory-policy": "noeviction"
        }
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_the_embedded_store_ends_with_its_block():
    with embedded_store() as url:
        client = Redis.from_url(url)
        client.ping()
    with pytest.raises(RedisConnectionError):
        client.ping()


def test_a_store_with_a_directory_remembers(tmp_path):
    with embedded_store(tmp_path) as url:
        Redis.from_url(url).set("a", "1")
    with embedded_store(tmp_path) as url:
        assert Redis.from_url(url).get("a") == b"1"


def test_a_stopped_store_starts_again_on_the_same_port(tmp_path):
    store = EmbeddedStore.in_directory(tmp_path)
    store.start()
    url = store.url
    store.stop(kill=True)
    store.start()
    assert store.url == url
    assert Redis.from_url(url).ping()
    store.stop()


def test_a_paused_store_accepts_and_does_not_answer_until_resumed(tmp_path):
    store = EmbeddedStore.in_directory(tmp_path)
    store.start()
    store.child.pause()
    with pytest.raises(RedisTimeoutError):
        Redis.from_url(store.url, socket_timeout=0.2).ping()
    store.child.resume()
    assert Redis.from_url(store.url).ping()
    store.stop()


async def test_the_embedded_broker_carries_records_keys_and_headers():
    with embedded_broker() as bootstrap:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
        await producer.start()
        await producer.send_and_wait("t", b"value", key=b"k", headers=[("h", b"1")])
        await producer.stop()
        consumer = AIOKafkaConsumer(
            "t", bootstrap_servers=bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        record = await consumer.getone()
        await consumer.stop()
    assert (record.key, record.value, record.headers) == (
        b"k",
        b"value",
        (("h", b"1"),),
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_store_and_broker_die_with_their_parent_however_it_ends(tmp_path, how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE
    )
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(map(is_alive, pids))
    os.kill(parent.pid, how)
    parent.communicate()
    wait_until_dead(pids)


def test_a_server_that_cannot_start_says_why(tmp_path):
    child = Child(
        lambda _: ["/bin/sh", "-c", "echo no room >&2; exit 3"],
        accepts,
        tmp_path / "log",
    )
    with pytest.raises(RuntimeError, match="no room"):
        child.start()


async def test_the_demos_reader_misses_no_record_of_several_writers():
    """The broker shows a record before an earlier one that is still being written."""
    sent, read = set(), []

    async def write(broker, name):
        async with AIOKafkaProducer(bootstrap_servers=broker, acks="all") as producer:
            for number in range(400):
                value = f"{name}-{number}".encode()
                await producer.send_and_wait("raced", value, partition=0)
                sent.add(value)

    with embedded_broker() as broker:
        await write(broker, "first")
        reading = asyncio.create_task(
            read_topics(
                {"bootstrap_servers": broker},
                ("raced",),
                fetch_wait_ms=5,
                on_record=lambda _topic, value, _at_ms: read.append(value),
            )
        )
        await asyncio.gather(*(write(broker, name) for name in "abc"))
        async with asyncio.timeout(30):
            while not sent <= set(read):
                await asyncio.sleep(0.05)
        reading.cancel()
    assert len(read) == len(set(read))
