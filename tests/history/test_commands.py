"""The commands, as an operator types them."""

import csv
import os
import random
import re
import subprocess
import sys

from aiokafka import AIOKafkaProducer
from streams import Shape, check, transactions

from scoring.history.archive import Archive
from scoring.ports.history import Applied


def scoring(settings, directory, *words, exits=0):
    """Run one command to its end; returns what it printed."""
    told = {
        "redis_url": settings.redis_url,
        "kafka_bootstrap": settings.kafka_bootstrap,
        "topic_prefix": settings.topic_prefix,
        "namespace": settings.namespace,
        "fetch_wait_ms": str(settings.fetch_wait_ms),
        "archive_dir": str(directory / "archive"),
        "state_dir": str(directory),
    }
    done = subprocess.run(
        [sys.executable, "-m", "scoring", *words],
        env={**os.environ, **{f"SCORING_{k.upper()}": v for k, v in told.items()}},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == exits, done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout + done.stderr)


async def test_a_history_is_archived_audited_rebuilt_and_forgotten(
    life, settings, tmp_path
):
    rnd = random.Random(9)
    stream = transactions(rnd, Shape(count=60, late=0))
    await life.pay(stream, rnd)
    assert "60 decisions, 0 labels, 0 events taken" in scoring(
        settings, tmp_path, "archive"
    )
    audited = scoring(settings, tmp_path, "features", "audit", "--sample", "50")
    assert "50 decisions" in audited
    assert " 0 differ" in audited
    refused = scoring(settings, tmp_path, "rebuild", exits=2)
    assert "--wipe" in refused
    rebuilt = scoring(settings, tmp_path, "rebuild", "--wipe")
    assert "60 transactions, 60 decisions and 0 labels are back" in rebuilt
    assert re.search(r"transactions\W+60/60", rebuilt), "the bars say how much there is"
    assert not re.search(r"\b\d+/0\b", rebuilt)
    (seen,) = await life.store.observe([check(stream[0])])
    assert seen.applied is Applied.REPEATED
    assert seen.stored == life.decided[stream[0].id]
    forgotten = scoring(settings, tmp_path, "forget", "card:c1")
    assert re.search(r"erased: [1-9]\d* keys of state, [1-9]\d* recorded", forgotten)
    assert f"{settings.topic_prefix}decisions still holds" in forgotten


NOT_OURS = {
    "decisions": [
        (b"\xffno message", "", "the bytes are not a scoring.v1.Decision"),
        (b"", "transaction", "is missing: it is no logged decision"),
    ],
    "labels": [(b"", "known_at", "is required")],
}


async def test_records_that_are_not_ours_are_listed_once_and_told_by_the_status(
    life, settings, tmp_path
):
    await life.pay(transactions(random.Random(10), Shape(count=5)), random.Random(10))
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
    await producer.start()
    expected = set()
    for kind, values in NOT_OURS.items():
        for value, *told in values:
            topic = f"{settings.topic_prefix}{kind}"
            at = await producer.send_and_wait(topic, value, partition=0)
            expected.add((f"{kind}/0", str(at.offset), *told))
    await producer.stop()
    told = scoring(settings, tmp_path, "archive", exits=1)
    assert "5 decisions, 0 labels, 0 events taken; 3 records are not ours" in told
    assert "8 rows = 5 admitted + 3 refused + 0 skipped" in told
    listed = tmp_path / "tables" / "archive.left-out.csv"
    with listed.open(newline="") as file:
        rows = [tuple(row.values())[1:] for row in csv.DictReader(file)]
    assert {*rows} == expected
    assert "0 decisions, 0 labels, 0 events taken" in scoring(
        settings, tmp_path, "archive"
    )


async def test_a_damaged_archive_is_named_before_anything_is_wiped(
    life, settings, tmp_path
):
    stream = transactions(random.Random(11), Shape(count=5))
    await life.pay(stream, random.Random(11))
    scoring(settings, tmp_path, "archive")
    (file, *_) = Archive(tmp_path / "archive").files("decisions")
    file.write_bytes(file.read_bytes()[:-9])
    for words in (("rebuild", "--wipe"), ("forget", "card:c1")):
        told = scoring(settings, tmp_path, *words, exits=2)
        assert re.search(
            r"did not write, or that are damaged; move them elsewhere", told
        )
        assert "Traceback" not in told
    (seen,) = await life.store.observe([check(stream[0])])
    assert seen.applied is Applied.REPEATED
