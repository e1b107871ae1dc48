"""Labels and payments outside the store: found by id, judged as the doors do."""

import asyncio
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streams import Shape, transactions
from test_archive import archived

from scoring import wire
from scoring.core.transaction.label import Label, Verdict
from scoring.doors.stream.stall_detector import Progress
from scoring.doors.stream.transaction_lookup import LogSearch
from scoring.history.archive import Archive, write
from scoring.history.ledger import Ledger
from scoring.history.rows import LABELS
from scoring.history.search import ArchiveSearch
from scoring.history.topic_archiver import silent
from scoring.history.wiring import update_archive
from scoring.ports.log import LogRecord

DAY_MS = 86_400_000


def key(t):
    return t.tenant, t.id


@pytest.fixture
def search(settings, life):
    def made(archive=None):
        return LogSearch(
            bootstrap=settings.kafka_bootstrap,
            options={},
            topic=life.topics.decisions,
            fetch_wait_ms=settings.fetch_wait_ms,
            progress=Progress(),
            archive=archive and ArchiveSearch(archive),
        )

    return made


@pytest.mark.parametrize("content_type", [wire.PROTOBUF, wire.JSON])
async def test_a_payment_is_found_in_the_archive_and_in_the_topic_after_it(
    life, settings, archive, search, content_type
):
    life.content_type = content_type
    rnd = random.Random(1)
    stream = transactions(rnd, Shape(count=60))
    await life.pay(stream[:40], rnd)
    await update_archive(settings, archive, silent)
    await life.pay(stream[40:], rnd)
    paid = {key(t): t for t in stream}
    unknown = ("default", "nobody")
    for one in (search(), search(archive), search(Archive(archive.directory / "none"))):
        found = await one.payments([*paid, unknown])
        assert dict(zip(paid, found.payments, strict=False)) == paid
        assert found.payments[-1] is None
        assert found.where.endswith(f"all of {life.topics.decisions}")
    own = await ArchiveSearch(archive).payments([*paid, unknown])
    assert own.payments == {key(t): t for t in stream[:40]}


async def test_what_waits_for_one_search_is_looked_for_in_the_next(life, search):
    rnd = random.Random(2)
    stream = transactions(rnd, Shape(count=20))
    await life.pay(stream, rnd)
    one = search()
    found = await asyncio.gather(
        *(one.payments([key(t), ("default", f"no-{t.id}")]) for t in stream)
    )
    assert [each.payments for each in found] == [[t, None] for t in stream]


async def test_a_search_ends_in_its_time_and_says_how_far_it_came(life, search):
    rnd = random.Random(3)
    await life.pay(transactions(rnd, Shape(count=20)), rnd)
    one = search()
    one.pass_s = 0.0
    found = await one.payments([("default", "nobody")])
    assert found.payments == [None]
    assert " back to " in found.where


def told(t, *, version=1, verdict=Verdict.FRAUD, after_ms=DAY_MS, bare=True):
    return Label(
        *key(t),
        version,
        verdict,
        t.occurred_at_ms + after_ms,
        transaction=None if bare else t,
    )


async def append(life, labels):
    records = [
        LogRecord(
            topic=life.topics.labels,
            key=b"k",
            value=wire.label_to_proto(label).SerializeToString(),
            headers=(("content-type", wire.PROTOBUF.encode()),),
        )
        for label in labels
    ]
    for record in records:  # in this order
        await life.log.append([record])


def learned(archive, life):
    ledger = Ledger(archive, life.catalogue, lateness_ms=DAY_MS)
    found = {
        (label.transaction.id, label.version): label.fraud for label in ledger.labels()
    }
    ledger.close()
    return found


async def test_the_archive_keeps_what_the_doors_apply_and_nothing_else(
    life, settings, archive
):
    rnd = random.Random(4)
    one, other, third = transactions(rnd, Shape(count=3))
    await life.pay([one, other, third], rnd)
    far_ms = 40_000 * DAY_MS - one.occurred_at_ms
    await append(
        life,
        [
            told(one, after_ms=-1),  # known before its payment
            told(one, after_ms=far_ms, verdict=Verdict.LEGITIMATE),  # not known yet
            told(one),
            told(one, verdict=Verdict.LEGITIMATE),  # the first verdict stands
            told(one),
            told(one, version=2, verdict=Verdict.WITHDRAWN),
            told(other, bare=False, after_ms=-1, verdict=Verdict.LEGITIMATE),
            told(other, bare=False, verdict=Verdict.FRAUD),
        ],
    )
    await update_archive(settings, archive, silent)
    assert learned(archive, life) == {
        (one.id, 1): True,
        (one.id, 2): None,
        (other.id, 1): True,
    }
    sql = "SELECT transaction_id, version, fraud FROM labels ORDER BY ALL"
    assert len(archived(archive, sql)) == 3


async def test_labels_that_an_earlier_release_archived_are_read(
    life, settings, archive
):
    rnd = random.Random(5)
    stream = transactions(rnd, Shape(count=2))
    await life.pay(stream, rnd)
    await append(life, [told(stream[0])])
    await update_archive(settings, archive, silent)
    (path,) = archive.files("labels")
    columns = [name for name in LABELS.names if name != "received_at_ms"]
    write(path, pq.read_table(path, schema=pa.schema(LABELS)).select(columns))
    assert learned(archive, life) == {(stream[0].id, 1): True}
    await append(life, [told(stream[1]), told(stream[0], verdict=Verdict.LEGITIMATE)])
    await update_archive(settings, archive, silent)
    assert learned(archive, life) == {(stream[0].id, 1): True, (stream[1].id, 1): True}
