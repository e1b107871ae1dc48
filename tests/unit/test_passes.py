"""Small polls of several partitions share a pass; nothing waits on a clock."""

import asyncio

import pytest

from scoring.doors.stream.micro_batches import PASS_MAX, SharedPasses


class Scorer:
    """Answers each check with its double, when it is let go."""

    def __init__(self):
        self.passes, self.gates, self.error = [], [], None

    async def score(self, checks):
        self.passes.append(checks)
        self.gates.append(asyncio.Event())
        await self.gates[-1].wait()
        if self.error:
            raise self.error
        return [2 * check for check in checks]


@pytest.fixture
def scorer():
    return Scorer()


@pytest.fixture
def ask(scorer):
    shared = SharedPasses(scorer.score)

    async def asked(*checks):
        task = asyncio.ensure_future(shared.answers(list(checks)))
        await settled()
        return task

    return asked


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_lone_poll_waits_for_nothing(scorer, ask):
    task = await ask(1, 2)
    assert scorer.passes == [[1, 2]]
    scorer.gates[0].set()
    assert await task == [2, 4]


async def test_what_comes_during_a_pass_shares_the_next_one(scorer, ask):
    first, second, third = await ask(1), await ask(2, 3), await ask(4)
    assert scorer.passes == [[1]]
    scorer.gates[0].set()
    assert await first == [2]
    await settled()
    assert scorer.passes[1:] == [[2, 3, 4]]
    scorer.gates[1].set()
    assert (await second, await third) == ([4, 6], [8])


async def test_enough_of_them_go_beside_the_pass_that_waits_for_the_store(scorer, ask):
    await ask(1)
    await ask(*range(50))
    await ask(*range(50))
    assert [len(checks) for checks in scorer.passes] == [1, 50]


async def test_full_polls_have_passes_of_their_own_and_four_are_in_flight(scorer, ask):
    for _ in range(6):
        await ask(*range(PASS_MAX))
    assert [len(checks) for checks in scorer.passes] == [PASS_MAX] * 4
    scorer.gates[2].set()
    await settled()
    assert len(scorer.passes) == 5


async def test_a_pass_takes_whole_polls_up_to_its_bound(scorer, ask):
    await ask(1)
    for _ in range(4):
        await ask(*range(100))
    assert [len(checks) for checks in scorer.passes] == [1, 100, 200]


async def test_an_error_reaches_all_who_shared_the_pass_and_the_next_goes_on(
    scorer, ask
):
    await ask(0)
    tasks = [await ask(1), await ask(2)]
    scorer.gates[0].set()
    await settled()
    scorer.error = ValueError("planted")
    scorer.gates[1].set()
    for task in tasks:
        with pytest.raises(ValueError, match="planted"):
            await task
    scorer.error = None
    last = await ask(3)
    scorer.gates[2].set()
    assert await last == [6]


async def test_who_has_gone_takes_nobody_along(scorer, ask):
    await ask(0)
    gone, stays = await ask(1), await ask(2)
    gone.cancel()
    for gate in range(2):
        scorer.gates[gate].set()
        await settled()
    assert await stays == [4]
