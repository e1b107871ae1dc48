"""Rates of a later day change no history; those of the past do, and it is said."""

import random

import pytest
from history_parts import Life, cells, connected, rebuilt, same, state
from rates_parts import DATED, DAYS, rates_of
from redis.asyncio import Redis
from streams import LATENESS_MS, Shape, transactions

from scoring import wire
from scoring.core.features.catalogue import default_catalogue
from scoring.history.audit import Sample, audit
from scoring.history.topic_archiver import silent
from scoring.history.wiring import update_archive
from scoring.kafka.producer import KafkaLog
from scoring.kafka.topic_names import Topics
from scoring.wiring.connections import address_from

CATALOGUE = default_catalogue().converting_by(DATED)
# What `scoring rebuild` may find in the file when it runs months later.
APPENDED = rates_of(**DAYS | {"JPY": [*DAYS["JPY"], ("2026-11-30", "0.009")]})
CORRECTED = rates_of(**DAYS | {"KWD": [DAYS["KWD"][0], ("2021-01-24", "3.2")]})
CORRECTED_MS = 1_611_446_400_000  # 2021-01-24


@pytest.fixture
async def decided(settings, model_dir):
    """A life under rates that change while it lasts, and its payments."""
    address = address_from(settings)
    store = await connected(address, settings.namespace, catalogue=CATALOGUE)
    log = await KafkaLog.connect(settings.kafka_bootstrap, options={})
    topics = Topics(settings.topic_prefix)
    life = Life(store, log, topics, model_dir, catalogue=CATALOGUE)
    rnd = random.Random(1)
    stream = transactions(rnd, Shape(count=300))
    await life.pay(stream, rnd)
    yield life, stream
    await life.close()
    await log.close()


async def test_each_decision_names_the_rates_that_were_effective_by_its_time(decided):
    life, stream = decided
    for t in stream:
        core = wire.decision_from_bytes(life.decided[t.id]).core
        assert core.versions.rates == DATED.version_at(t.occurred_at_ms)
        assert core.versions.features == default_catalogue().version
    assert len(DATED.starts) == 5


async def test_a_rate_of_a_later_day_leaves_a_rebuild_and_an_audit_as_they_were(
    decided, settings, archive
):
    life, stream = decided
    before = await state(settings.redis_url, settings.namespace)
    was = await cells(life.store, stream)
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.flushall()
    later = CATALOGUE.converting_by(APPENDED)
    done = await rebuilt(settings, archive, catalogue=later)
    assert done.other_rates == 0
    assert "rates" not in str(done)
    compared, wrong = same(was, await cells(life.store, stream))
    assert compared > 5_000
    assert wrong == 0
    assert await state(settings.redis_url, settings.namespace) == before
    found = audit(archive, later, lateness_ms=LATENESS_MS, sample=Sample(10_000))
    assert found.mismatches == []
    assert found.passed_over.keys() <= {"too late"}


async def test_a_corrected_rate_of_the_past_is_told_by_a_rebuild_and_an_audit(
    decided, settings, archive
):
    _, stream = decided
    since = sum(t.occurred_at_ms >= CORRECTED_MS for t in stream)
    assert 0 < since < len(stream)
    await update_archive(settings, archive, silent)
    corrected = CATALOGUE.converting_by(CORRECTED)
    found = audit(archive, corrected, lateness_ms=LATENESS_MS, sample=Sample(10_000))
    assert found.mismatches == []
    assert found.passed_over["other rates"] == since
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.flushall()
    done = await rebuilt(settings, archive, catalogue=corrected)
    assert done.other_rates == since
    assert f"{since:,} were decided by other exchange rates" in str(done)
