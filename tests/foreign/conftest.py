"""Both doors running on each kind of broker, for clients that know nothing of us."""

from collections.abc import Iterator

import pytest

from scoring.core.catalogue import default_catalogue
from scoring.demo.stage import Stage, staged
from scoring.embedded.service import Parts
from scoring.training.train import ensure_demo_model


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("model") / "bundle"
    return ensure_demo_model(directory, default_catalogue())


def doors(store_url, bootstrap, demo_model, directory, *, embedded) -> Iterator[Stage]:
    parts = Parts(store_url, bootstrap, embedded_broker=embedded)
    with staged(
        parts, model_dir=demo_model, directory=directory, say=lambda _: None
    ) as stage:
        yield stage


@pytest.fixture(scope="session")
def embedded_doors(store_url, embedded_bootstrap, demo_model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("embedded-doors")
    yield from doors(
        store_url, embedded_bootstrap, demo_model, directory, embedded=True
    )


@pytest.fixture(scope="session")
def kafka_doors(store_url, kafka_bootstrap, demo_model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("kafka-doors")
    yield from doors(store_url, kafka_bootstrap, demo_model, directory, embedded=False)
