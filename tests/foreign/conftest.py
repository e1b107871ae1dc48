"""Both doors running on each kind of broker, for clients that know nothing of us."""

from collections.abc import Iterator

import pytest

from scoring.demo.stage import Stage, staged
from scoring.embedded.service import Parts


def doors(store_url, bootstrap, model_dir, directory, *, embedded) -> Iterator[Stage]:
    parts = Parts(store_url, bootstrap, embedded_broker=embedded)
    with staged(
        parts, model_dir=model_dir, directory=directory, say=lambda _: None
    ) as stage:
        yield stage


@pytest.fixture(scope="session")
def embedded_doors(store_url, embedded_bootstrap, model_dir, tmp_path_factory):
    directory = tmp_path_factory.mktemp("embedded-doors")
    yield from doors(store_url, embedded_bootstrap, model_dir, directory, embedded=True)


@pytest.fixture(scope="session")
def kafka_doors(store_url, kafka_bootstrap, model_dir, tmp_path_factory):
    directory = tmp_path_factory.mktemp("kafka-doors")
    yield from doors(store_url, kafka_bootstrap, model_dir, directory, embedded=False)
