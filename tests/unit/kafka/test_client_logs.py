"""What the Kafka clients log is said once a minute and cause."""

import asyncio
import logging

import pytest

from scoring.core.repetition import EVERY_S
from scoring.kafka.client_logs import ClientLines, listening


class Lines(logging.Handler):
    """A client's logger, a clock to turn, and what reached the root's handlers."""

    def __init__(self):
        super().__init__()
        self.now, self.said = 0.0, []
        self.logger = logging.getLogger("aiokafka.client-of-this-test")
        self.passing = ClientLines(monotonic=lambda: self.now)
        self.logger.handlers, self.logger.propagate = [self.passing], False

    def emit(self, record):
        self.said.append(record.getMessage())


@pytest.fixture
def lines():
    made = Lines()
    logging.getLogger().addHandler(made)
    yield made
    logging.getLogger().removeHandler(made)


def test_a_cause_is_said_once_a_minute_however_often_it_comes(lines):
    for port in range(5_000):
        lines.logger.error("Unable connect to node %s: 127.0.0.1:%s refused", 1, port)
    assert len(lines.said) == 1
    lines.now = EVERY_S
    lines.logger.error("Unable connect to node %s: 127.0.0.1:%s refused", 2, 9)
    assert lines.said[1] == (
        "Unable connect to node 2: 127.0.0.1:9 refused (4,999 more of these since)"
    )


def test_another_cause_is_said_at_once(lines):
    lines.logger.error("Unable connect to node %s", 1)
    lines.logger.error("Topic %s is not available", "transactions")
    lines.logger.error("Topic %s is not available", "labels")
    assert len(lines.said) == 3


def test_causes_without_end_are_forgotten_and_not_kept(lines):
    for n in range(5_000):
        lines.logger.error("no topic %s", "a" * n)
    assert len(lines.passing._repetition._causes) <= 1_000


async def test_who_listens_hears_it_and_the_log_does_not(lines):
    async def later(started):
        await started.wait()
        lines.logger.error("afterwards")

    told = asyncio.Event()
    with listening() as heard:
        lines.logger.warning("by the way")
        lines.logger.error("refused")
        task = asyncio.create_task(later(told))
        await asyncio.sleep(0)
    assert (heard.lines, lines.said) == (["refused"], [])
    told.set()
    await task  # begun while somebody listened: a client's own tasks are
    assert lines.said == ["afterwards"]
