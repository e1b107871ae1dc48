"""A changed file of rates reaches a running service between two batches."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from rates_parts import HEAD

from scoring.core.features.rates_file import load_rates
from scoring.pipeline.batch_gate import Between
from scoring.wiring.file_watch import FileWatch

POLL_S = 0.02


def written(rate):
    return f"{HEAD}2026-11-01,USD,EUR,{rate}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text(written("0.87"))
    return path


@asynccontextmanager
async def following(file, *, busy=0):
    """The watch, with what it hands over and why not; `busy` times it is put off."""
    taken: asyncio.Queue = asyncio.Queue()
    refused: asyncio.Queue = asyncio.Queue()
    left = busy

    async def take(rates):
        nonlocal left
        left -= 1
        if left < 0:
            taken.put_nowait(rates.version)
        return left < 0

    def load():
        return load_rates(file.read_text(), reference="EUR", name=file.name)

    watch = FileWatch([file], load, take, refused.put_nowait, poll_s=POLL_S)
    task = asyncio.create_task(watch.follow())
    try:
        async with asyncio.timeout(10):
            yield taken, refused
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_written_is_handed_over_once(file):
    async with following(file) as (taken, refused):
        first = await taken.get()
        file.write_text(written("0.88"))
        assert await taken.get() != first
        await asyncio.sleep(5 * POLL_S)
        assert taken.empty()
        assert refused.empty()


async def test_a_bad_file_is_told_once_and_the_next_good_one_is_taken(file):
    async with following(file) as (taken, refused):
        first = await taken.get()
        file.write_text(written("0,88"))
        assert "rates.csv:2" in await refused.get()
        await asyncio.sleep(5 * POLL_S)
        assert refused.empty()
        file.write_text(written("0.87") + "# again\n")
        assert await taken.get() == first


async def test_a_file_that_is_gone_is_refused_and_taken_when_it_is_back(file):
    async with following(file) as (taken, refused):
        first = await taken.get()
        text = file.read_text()
        file.unlink()
        assert "rates.csv" in await refused.get()
        file.write_text(text)
        assert await taken.get() == first


async def test_a_file_that_still_grows_is_not_taken(file):
    async with following(file) as (taken, _):
        await taken.get()
        lines = [written("0.87")]
        for day in range(10, 30):
            lines.append(f"2026-11-{day},USD,EUR,0.{day}\n")
            file.write_text("".join(lines))
            await asyncio.sleep(POLL_S / 3)
        whole = load_rates("".join(lines), reference="EUR", name="r")
        assert await taken.get() == whole.version


async def test_rates_that_were_put_off_are_offered_again(file):
    async with following(file, busy=2) as (taken, _):
        assert await taken.get()


# Between batches --------------------------------------------------------------


async def test_a_change_waits_for_the_batch_under_way_and_holds_the_next_back():
    between, told = Between(), []
    await between.begin()
    changing = asyncio.create_task(
        between.change(lambda: told.append("change"), within_s=5)
    )
    await asyncio.sleep(0)

    async def batch():
        await between.begin()
        told.append("next batch")
        between.end()

    following_batch = asyncio.create_task(batch())
    await asyncio.sleep(0.01)
    assert told == []
    told.append("first batch ends")
    between.end()
    assert await changing
    await following_batch
    assert told == ["first batch ends", "change", "next batch"]


async def test_batches_run_beside_one_another():
    between = Between()
    await asyncio.wait_for(asyncio.gather(between.begin(), between.begin()), 1)


async def test_a_change_gives_way_where_a_batch_does_not_end():
    between, told = Between(), []
    await between.begin()
    assert not await between.change(lambda: told.append("change"), within_s=0.01)
    assert told == []
    await asyncio.wait_for(between.begin(), 1)
