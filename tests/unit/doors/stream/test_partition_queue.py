"""Polls go side by side by partition, in order within one."""

import asyncio
from types import SimpleNamespace

from faust.types import TP

from scoring.doors.stream.partition_queue import TAKEN_MAX, PartitionQueues
from scoring.doors.stream.poll_consumer import Poll


def poll(partition: int, offset: int) -> Poll:
    return Poll(TP("transactions", partition), [SimpleNamespace(offset=offset)])


class Bench:
    """Work that waits until it is let go, and what became of it."""

    def __init__(self):
        self.begun, self.ended, self.failed = [], [], []
        self.gates = {}
        self.queues = PartitionQueues(self.work, self.failed.append)

    async def work(self, one):
        place = (one.tp.partition, one.first)
        self.begun.append(place)
        await self.gates.setdefault(place, asyncio.Event()).wait()
        self.ended.append(place)
        one.finished = True

    async def take(self, *polls):
        async def acknowledge():
            pass

        for one in polls:
            await self.queues.take(one, acknowledge)
        await self.settled()

    async def let_go(self, *places):
        for place in places:
            self.gates[place].set()
        await self.settled()

    async def settled(self):
        for _ in range(10):
            await asyncio.sleep(0)


async def test_polls_of_one_partition_go_one_after_the_other():
    bench = Bench()
    await bench.take(*(poll(0, n) for n in range(3)))
    assert bench.begun == [(0, 0)]
    await bench.let_go((0, 0))
    assert bench.begun == [(0, 0), (0, 1)]


async def test_polls_that_wait_for_their_turn_hold_up_no_other_partition():
    bench = Bench()
    await bench.take(*(poll(0, n) for n in range(5)), poll(1, 0), poll(2, 0))
    assert bench.begun == [(0, 0), (1, 0), (2, 0)]


async def test_polls_beyond_the_bound_are_not_taken():
    bench = Bench()
    await bench.take(*(poll(0, n) for n in range(TAKEN_MAX)))
    waiting = asyncio.ensure_future(bench.take(poll(1, 0)))
    await bench.settled()
    assert not waiting.done()
    await bench.let_go((0, 0))
    await waiting
    assert (1, 0) in bench.begun


async def test_a_poll_that_was_revoked_while_it_waited_is_not_worked_on():
    bench = Bench()
    late = poll(0, 1)
    await bench.take(poll(0, 0), late)
    late.revoked = True
    await bench.let_go((0, 0))
    assert bench.begun == [(0, 0)]
    assert late.idle.is_set()


async def test_an_error_in_the_work_is_told_and_no_later_poll_hides_it():
    bench = Bench()

    async def broken(_):
        raise ValueError("planted")

    bench.queues.work = broken
    one = poll(0, 0)
    await bench.take(one)
    assert [str(error) for error in bench.failed] == ["planted"]
    assert not one.finished
