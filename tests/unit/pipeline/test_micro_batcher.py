"""Small polls of several partitions share a micro-batch; nothing waits on a clock."""

import asyncio

import pytest

from scoring.pipeline.micro_batcher import BATCH_COUNT_MAX, MicroBatcher, Pacing


class Doubling:
    """Answers each check with its double, when it is let go."""

    def __init__(self):
        self.batches, self.gates, self.error, self.abandoned = [], [], None, []

    async def decide(self, checks, slot):
        self.batches.append(checks)
        self.gates.append(asyncio.Event())
        with slot:
            await self.gates[-1].wait()
        if self.error:
            raise self.error
        return [2 * check for check in checks]

    def abandon(self, checks):
        self.abandoned += checks


@pytest.fixture
def decider():
    return Doubling()


@pytest.fixture
def ask(decider):
    batcher = MicroBatcher(decider, Pacing(full_in_flight_max=4))

    async def asked(*checks):
        task = asyncio.ensure_future(batcher.answers(list(checks)))
        await settled()
        return task

    return asked


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_lone_poll_waits_for_nothing(decider, ask):
    task = await ask(1, 2)
    assert decider.batches == [[1, 2]]
    decider.gates[0].set()
    assert await task == [2, 4]


async def test_what_comes_meanwhile_shares_the_next_micro_batch(decider, ask):
    first, second, third = await ask(1), await ask(2, 3), await ask(4)
    assert decider.batches == [[1]]
    decider.gates[0].set()
    assert await first == [2]
    await settled()
    assert decider.batches[1:] == [[2, 3, 4]]
    decider.gates[1].set()
    assert (await second, await third) == ([4, 6], [8])


async def test_enough_of_them_are_decided_beside_another_micro_batch(decider, ask):
    await ask(1)
    await ask(*range(50))
    await ask(*range(50))
    assert [len(checks) for checks in decider.batches] == [1, 50]


async def test_of_full_polls_four_are_in_flight_each_by_itself(decider, ask):
    for _ in range(6):
        await ask(*range(BATCH_COUNT_MAX))
    assert [len(checks) for checks in decider.batches] == [BATCH_COUNT_MAX] * 4
    decider.gates[2].set()
    await settled()
    assert len(decider.batches) == 5


async def test_a_micro_batch_takes_whole_polls_up_to_its_bound(decider, ask):
    await ask(1)
    for _ in range(4):
        await ask(*range(100))
    assert [len(checks) for checks in decider.batches] == [1, 100, 200]


async def test_an_error_reaches_all_who_shared_the_micro_batch_and_no_other(
    decider, ask
):
    await ask(0)
    tasks = [await ask(1), await ask(2)]
    decider.gates[0].set()
    await settled()
    decider.error = ValueError("planted")
    decider.gates[1].set()
    for task in tasks:
        with pytest.raises(ValueError, match="planted"):
            await task
    decider.error = None
    last = await ask(3)
    decider.gates[2].set()
    assert await last == [6]


async def test_who_left_takes_nobody_along_and_is_not_decided(decider, ask):
    await ask(0)
    gone, stays = await ask(1), await ask(2)
    gone.cancel()
    for gate in range(2):
        decider.gates[gate].set()
        await settled()
    assert await stays == [4]
    assert (decider.batches, decider.abandoned) == ([[0], [2]], [1])


async def test_polls_of_one_turn_are_one_micro_batch_and_stay_whole(decider):
    batcher = MicroBatcher(decider, Pacing(full_in_flight_max=4))
    asked = [asyncio.ensure_future(batcher.answers(range(100))) for _ in range(5)]
    await settled()
    assert [len(checks) for checks in decider.batches] == [200, 200]
    assert (batcher.waiting_count, batcher.deciding_count) == (100, 400)
    for turn in range(3):
        decider.gates[turn].set()
        await settled()
    assert [await each for each in asked] == [[*range(0, 200, 2)]] * 5
    assert batcher.deciding_count == 0


class HeldBack(Doubling):
    """Decides at once, and gives no answer."""

    async def decide(self, checks, slot):
        with slot:
            self.batches.append(checks)
        await asyncio.Event().wait()


async def test_answers_that_are_held_back_hold_no_slot():
    decider = HeldBack()
    batcher = MicroBatcher(decider)
    asked = []
    for check in range(5):
        asked.append(asyncio.ensure_future(batcher.answers([check])))
        await settled()
    assert decider.batches == [[0], [1], [2], [3], [4]]
    assert not any(each.done() for each in asked)


class Broken(Doubling):
    """Fails before it takes its slot."""

    async def decide(self, *_):
        raise ValueError("planted")


async def test_a_decider_that_never_takes_its_slot_keeps_none():
    batcher = MicroBatcher(Broken())
    for _ in range(5):
        with pytest.raises(ValueError, match="planted"):
            await batcher.answers([1])
