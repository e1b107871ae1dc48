"""Producers that are not ours: Kafka's own for Java, and librdkafka."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer
from java import java_program

CODECS = ("gzip", "snappy", "lz4", "zstd")


class JavaProducer:
    """Kafka's own producer in a process that does one line at a time."""

    def __init__(self, process: subprocess.Popen):
        self._process = process

    def configure(self, **settings: str) -> None:
        """Begin a new producer; a transactional one is initialised."""
        words = (f"{k.replace('_', '.')}={v}" for k, v in settings.items())
        self._do("producer", *words)

    def send(self, topic: str, partition: int, values: list[bytes]) -> None:
        """Send and flush: with a codec they lie in one batch or a few."""
        for value in values:
            self._do("send", topic, partition, "key", b64encode(value).decode())
        self._do("flush")

    def begin(self) -> None:
        self._do("begin")

    def commit(self) -> None:
        self._do("commit")

    def abort(self) -> None:
        self._do("abort")

    def _do(self, *words: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        print(*words, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline().strip()
        assert answer == "ok", f"{words[0]}: the producer ended"


@contextmanager
def java_producer(bootstrap: str) -> Iterator[JavaProducer]:
    """A JVM with Kafka's producer, ended (not closed) with the block."""
    command = [*java_program("producers/ScriptedProducer.java"), bootstrap]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield JavaProducer(process)
        finally:
            process.kill()


def librdkafka_sends(
    bootstrap: str, topic: str, partition: int, values: list[bytes], **settings: str
) -> None:
    """Send by librdkafka and wait for every acknowledgement."""
    named = {k.replace("_", "."): v for k, v in settings.items()}
    # Long enough that all lie in one batch: one record is hardly worth a codec.
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, **named})
    for value in values:
        producer.produce(topic, value, key=b"key", partition=partition)
    assert producer.flush(60) == 0


class LibrdkafkaTransactions:
    """A transactional producer of librdkafka."""

    def __init__(self, bootstrap: str, name: str, **settings: str):
        named = {k.replace("_", "."): v for k, v in settings.items()}
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "transactional.id": name, **named}
        )
        self._producer.init_transactions(60)

    def begin(self) -> None:
        self._producer.begin_transaction()

    def send(self, topic: str, partition: int, values: list[bytes]) -> None:
        for value in values:
            self._producer.produce(topic, value, key=b"key", partition=partition)
        assert self._producer.flush(60) == 0

    def commit(self) -> None:
        self._producer.commit_transaction(60)

    def abort(self) -> None:
        self._producer.abort_transaction(60)
