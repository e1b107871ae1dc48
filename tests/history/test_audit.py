"""Logged vectors are recomputed offline: any that was served otherwise is named."""

import random
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
from history_parts import rebuilt
from redis.asyncio import Redis
from streams import LATENESS_MS, Shape, check, labels, transactions

from scoring.core.features.catalogue import default_catalogue
from scoring.history.archive import write
from scoring.history.audit import Sample, audit
from scoring.history.rows import DECISIONS
from scoring.history.topic_archiver import silent
from scoring.history.wiring import update_archive

CATALOGUE = default_catalogue()


def audited(archive, **options):
    options = {"sample": Sample(10_000), "lateness_ms": LATENESS_MS} | options
    return audit(archive, CATALOGUE, **options)


async def lived(life, *, count=300, seed=21):
    """A stream with late, repeated and too late payments, and labels in their time."""
    rnd, shape = random.Random(seed), Shape(count=count, labelled=0.3)
    stream = transactions(rnd, shape)
    known = sorted(labels(rnd, stream, shape), key=lambda k: k.known_at_ms)
    # All labels are known to both sides from the start; their arrival is a time.
    await life.decide(stream[:1])
    await life.learn([k for k in known if k.transaction.id == "t0"], bare=False)
    for i in range(1, count, 10):
        group = stream[i : i + 10]
        await life.decide(group)
        own = {t.id for t in group}
        await life.learn([k for k in known if k.transaction.id in own], bare=False)
    return stream


async def test_vectors_of_late_and_ordinary_payments_are_confirmed(
    life, settings, archive
):
    stream = await lived(life)
    await update_archive(settings, archive, silent)
    found = audited(archive)
    assert found.mismatches == []
    assert found.passed_over.keys() == {"too late"}
    assert found.compared == len(stream) - found.passed_over["too late"]
    assert found.cells > 10_000


async def test_a_sample_is_judged_by_the_whole_history_of_its_entities(
    life, settings, archive
):
    await lived(life)
    await update_archive(settings, archive, silent)
    found = audited(archive, sample=Sample(25))
    assert (found.compared, found.mismatches) == (25, [])


async def test_a_feature_served_otherwise_is_named_with_an_example(
    life, settings, archive
):
    await lived(life, count=60)
    await update_archive(settings, archive, silent)
    place = CATALOGUE.names.index("merchant_count_1h")
    path = archive.files("decisions")[0]
    rows = pq.read_table(path, schema=DECISIONS, partitioning=None).to_pylist(
        maps_as_pydicts="strict"
    )
    rows[0]["features"][place] += 1
    write(path, pa.Table.from_pylist(rows, schema=DECISIONS))
    (mismatch,) = audited(archive).mismatches
    assert mismatch.feature == "merchant_count_1h"
    assert mismatch.count == 1
    assert mismatch.transaction_id == rows[0]["id"]
    assert mismatch.served == mismatch.recomputed + 1


async def test_answers_given_without_the_store_are_counted_and_not_compared(
    life, settings, archive
):
    stream = transactions(random.Random(2), Shape(count=90, late=0))
    await life.decide(stream[:30])
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.flushall()
    for t in stream[30:60]:
        await life.decide([t])
    await rebuilt(settings, archive)
    while life.provisional.count:
        await life.provisional._recovery
    await life.provisional._recovery
    await life.decide(stream[60:])
    await update_archive(settings, archive, silent)
    found = audited(archive)
    assert found.passed_over == {"provisional": 30}
    assert (found.compared, found.mismatches) == (60, [])
    assert await life.store.observe([check(replace(stream[0], id="more"))])
