"""A life in a store and a log of its own, and where its history is archived."""

import pytest
from history_parts import DEDUPE_S, Life, connected
from stream_parts import create_topics

from scoring.embedded.broker import FETCH_WAIT_MS
from scoring.history.archive import Archive
from scoring.kafka.producer import KafkaLog
from scoring.kafka.topic_names import Topics
from scoring.settings import Settings
from scoring.wiring.connections import address_from


@pytest.fixture
async def settings(own_store, embedded_bootstrap, topic_prefix, store_namespace):
    await create_topics(embedded_bootstrap, topic_prefix, partitions=2)
    return Settings(
        redis_url=own_store.url,
        kafka_bootstrap=embedded_bootstrap,
        topic_prefix=topic_prefix,
        namespace=store_namespace,
        fetch_wait_ms=FETCH_WAIT_MS,
        dedupe_s=DEDUPE_S,
    )


@pytest.fixture
async def life(settings, model_dir):
    store = await connected(address_from(settings), settings.namespace)
    log = await KafkaLog.connect(settings.kafka_bootstrap, options={})
    made = Life(store, log, Topics(settings.topic_prefix), model_dir)
    yield made
    await made.close()
    await log.close()


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "archive")
