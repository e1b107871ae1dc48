"""A loop and a service that the examples of a file share."""

import asyncio

import pytest
from http_parts import open_doors


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def doors(loop, model_dir):
    """Both synchronous doors of one service."""
    opened = open_doors(model_dir)
    yield loop.run_until_complete(opened.__aenter__())
    loop.run_until_complete(opened.__aexit__(None, None, None))
