"""When a reply may leave: once its answer stands where it outlives the process."""

import asyncio

import pytest

from scoring.core.decision.decision import Door, Outcome
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.pipeline.answer import Decided
from scoring.pipeline.publishing import Publishing
from scoring.ports.check import Check

PAID = Transaction("default", "t1", occurred_at_ms=1_700_000_000_000, card="c")


class Queue:
    """A relay whose log acknowledges when it is told to."""

    def __init__(self):
        self.logged = asyncio.get_running_loop().create_future()

    def publish(self, *_, **__):
        return self.logged


def check(*, within_s):
    return Check(
        transaction=PAID,
        payload_hash=payload_hash(PAID),
        received_at_ms=PAID.occurred_at_ms,
        door=Door.GRPC,
        deadline=asyncio.get_running_loop().time() + within_s,
    )


def answer(*, outlives):
    return Decided(
        b"d", Outcome.REVIEW, first=True, provisional=True, logged=b"l",
        outlives=outlives,
    )  # fmt: skip


async def test_a_reply_that_the_spool_holds_waits_for_nobody():
    publishing = Publishing(Queue(), waits=False)
    async with asyncio.timeout(1):
        await publishing([check(within_s=30)], [answer(outlives=True)])


async def test_a_reply_that_only_the_log_can_hold_waits_for_it():
    queue = Queue()
    publishing = Publishing(queue, waits=False)
    reply = asyncio.ensure_future(
        publishing([check(within_s=30)], [answer(outlives=False)])
    )
    await asyncio.sleep(0.05)
    assert not reply.done()
    queue.logged.set_result(None)
    async with asyncio.timeout(1):
        await reply


@pytest.mark.parametrize("within_s", [0.1, -1.0])
async def test_where_the_log_is_away_too_it_leaves_within_its_time(within_s):
    publishing = Publishing(Queue(), waits=False)
    began = asyncio.get_running_loop().time()
    await publishing([check(within_s=within_s)], [answer(outlives=False)])
    took_s = asyncio.get_running_loop().time() - began
    assert max(within_s, 0) - 0.02 <= took_s < max(within_s, 0) + 1.0
