"""What every store promises of counts: one suite for the memory and for Redis."""

from __future__ import annotations

import asyncio

from scoring.ports.tallies import TallyAsk
from scoring.stores.redis.tallies import RedisTallies


async def test_counts_of_several_processes_add_up_by_bucket_and_hour(store):
    one = TallyAsk(buckets={7: {"n/v": 3, "d/v": 1}}, hours={2: {"n/r": 0.5}})
    two = TallyAsk(buckets={7: {"n/v": 4}, 8: {"n/v": 1}}, hours={2: {"n/r": 1.5}})
    await store.tallies.tally(one)
    told = await store.tallies.tally(two)
    assert (told.window, told.history) == ([], [])
    asked = TallyAsk(window=[8, 7, 6], history=[2, 1])
    told = await store.tallies.tally(asked)
    assert told.window == [{"n/v": 1}, {"n/v": 7, "d/v": 1}, {}]
    assert told.history == [{"n/r": 2}, {}]


async def test_counts_are_read_with_what_was_added_in_the_same_exchange(store):
    told = await store.tallies.tally(TallyAsk(buckets={7: {"n/v": 3}}, window=[7]))
    assert told.window == [{"n/v": 3}]


async def test_the_newest_bucket_never_falls(store):
    assert (await store.tallies.tally(TallyAsk())).newest == 0
    assert (await store.tallies.tally(TallyAsk(newest=9))).newest == 9
    assert (await store.tallies.tally(TallyAsk(newest=4))).newest == 9
    assert (await store.tallies.tally(TallyAsk())).newest == 9


async def test_the_first_to_say_that_something_tripped_stands(store):
    assert await store.tallies.trip({"v/r/0": b"first"}) == {"v/r/0": b"first"}
    again = await store.tallies.trip({"v/r/0": b"second", "v/s/0": b"other"})
    assert again == {"v/r/0": b"first", "v/s/0": b"other"}
    assert (await store.tallies.tally(TallyAsk())).trips == again


async def test_money_is_reserved_without_gap_or_overlap(store):
    sizes = range(100, 120)
    starts = await asyncio.gather(
        *(store.tallies.reserve("shop", 5, minor) for minor in sizes)
    )
    end = 0
    for start, minor in sorted(zip(starts, sizes, strict=True)):
        assert start == end
        end = start + minor
    assert await store.tallies.reserve("other", 5, 1) == 0
    assert await store.tallies.reserve("shop", 6, 1) == 0


async def test_what_tripped_is_kept_as_long_as_anybody_counts_and_not_for_ever():
    asked = []

    class Noted:
        async def ask(self, commands, _timeout_s):
            asked.append(commands)
            return [{} if c[0] == b"HGETALL" else 0 for c in commands]

    tallies = RedisTallies(Noted(), "ns")
    await tallies.trip({"v/r/0": b"told"})
    await tallies.tally(TallyAsk())
    for commands in asked:
        assert (b"EXPIRE", b"{ns:tally}:trips", 30 * 86_400) in commands
