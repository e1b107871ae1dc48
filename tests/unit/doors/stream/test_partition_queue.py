"""Polls go side by side by partition, in order within one; what waits goes together."""

import asyncio
import itertools
from collections import deque
from functools import partial
from types import SimpleNamespace

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from scoring.doors.stream.partition_queue import (
    TAKEN_MAX,
    TOGETHER_MAX,
    PartitionQueues,
    together,
)
from scoring.doors.stream.poll_consumer import Poll


def poll(partition: int, offset: int, count: int = 1, epoch: int = 0) -> Poll:
    records = [SimpleNamespace(offset=offset + i) for i in range(count)]
    return Poll(TP("transactions", partition), records, epoch)


class Bench:
    """Work that waits until it is let go, and what became of it."""

    def __init__(self):
        self.begun, self.ended, self.failed = [], [], []
        self.acknowledged = []
        self.gates = {}
        self.queues = PartitionQueues(self.work, self.failed.append)

    async def work(self, polls):
        places = [(one.tp.partition, one.first) for one in polls]
        self.begun.append(places)
        await self.gates.setdefault(places[0], asyncio.Event()).wait()
        self.ended.append(places)
        for one in polls:
            one.finished = True

    async def take(self, *polls):
        for one in polls:
            await self.queues.take(one, partial(self.acknowledge, one))
        await self.settled()

    async def acknowledge(self, one):
        self.acknowledged.append(one.first)

    async def let_go(self, *places):
        for place in places:
            self.gates[place].set()
        await self.settled()

    async def settled(self):
        for _ in range(10):
            await asyncio.sleep(0)


async def test_polls_of_one_partition_go_one_after_the_other():
    bench = Bench()
    await bench.take(*(poll(0, n, TOGETHER_MAX) for n in range(3)))
    assert bench.begun == [[(0, 0)]]
    await bench.let_go((0, 0))
    assert bench.begun == [[(0, 0)], [(0, 1)]]


async def test_what_waits_for_its_turn_goes_together_in_order():
    bench = Bench()
    await bench.take(poll(0, 0))
    await bench.take(*(poll(0, n) for n in range(1, 5)))
    await bench.let_go((0, 0))
    assert bench.begun == [[(0, 0)], [(0, 1), (0, 2), (0, 3), (0, 4)]]
    assert bench.acknowledged == [0]
    await bench.let_go((0, 1))
    assert bench.acknowledged == [0, 1, 2, 3, 4]


async def test_polls_that_wait_for_their_turn_hold_up_no_other_partition():
    bench = Bench()
    await bench.take(*(poll(0, n) for n in range(5)), poll(1, 0), poll(2, 0))
    assert [places[0] for places in bench.begun] == [(0, 0), (1, 0), (2, 0)]


async def test_what_is_worked_on_together_is_idle_together_and_makes_room():
    bench = Bench()
    await bench.take(poll(0, 0))
    waiting = [poll(0, n) for n in range(1, TAKEN_MAX)]
    await bench.take(*waiting)
    await bench.let_go((0, 0))
    assert not any(one.idle.is_set() for one in waiting)
    await bench.let_go((0, 1))
    assert all(one.idle.is_set() for one in waiting)
    await asyncio.wait_for(bench.take(*(poll(1, n) for n in range(TAKEN_MAX))), 1.0)


@given(st.lists(st.tuples(st.integers(1, 2 * TOGETHER_MAX), st.integers(0, 1))))
def test_together_are_neighbours_of_one_epoch_and_no_more_than_the_bound(sizes):
    polls = [poll(0, i, count, epoch) for i, (count, epoch) in enumerate(sizes)]
    waiting, groups = deque((one, None) for one in polls), []
    while waiting:
        groups.append([one for one, _ in together(waiting)])
    assert [one for group in groups for one in group] == polls
    for group in groups:
        count = sum(len(one.records) for one in group)
        assert count <= TOGETHER_MAX or len(group) == 1
        assert len({one.epoch for one in group}) == 1
    for group, after in itertools.pairwise(groups):
        fits = sum(len(p.records) for p in [*group, after[0]]) <= TOGETHER_MAX
        assert not fits or after[0].epoch != group[0].epoch, "nothing waits in vain"


async def test_polls_beyond_the_bound_are_not_taken():
    bench = Bench()
    await bench.take(*(poll(0, n, TOGETHER_MAX) for n in range(TAKEN_MAX)))
    waiting = asyncio.ensure_future(bench.take(poll(1, 0)))
    await bench.settled()
    assert not waiting.done()
    await bench.let_go((0, 0))
    await waiting
    assert [(1, 0)] in bench.begun


async def test_a_poll_that_was_revoked_while_it_waited_is_not_worked_on():
    bench = Bench()
    late = poll(0, 1)
    await bench.take(poll(0, 0))
    await bench.take(late)
    late.revoked = True
    await bench.let_go((0, 0))
    assert bench.begun == [[(0, 0)]]
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
