"""What every store promises of its outbox: one suite for the memory and for Redis."""

import asyncio

from contract_parts import PAID, at, recording
from store_parts import outbox_of


async def test_the_outbox_keeps_a_decision_until_it_is_published(store):
    await store.record([recording(PAID, b"one", logged=b"logged")])
    await store.record([recording(PAID, b"two", logged=b"other")])
    assert await outbox_of(store) == [("default", "t1", b"logged")]
    await store.clear_outbox([("default", "t1")])
    assert await outbox_of(store) == []


async def test_the_whole_outbox_is_read_in_pages(store):
    paid = [at(0.0, f"t{i}") for i in range(2_000)]
    await store.record([recording(t, b"one", logged=t.id.encode()) for t in paid])
    pages = [page async for page in store.outbox_pages(count=100)]
    assert len(pages) > 1
    assert max(map(len, pages)) < 500
    found = {entry for page in pages for entry in page}
    assert found == {("default", t.id, t.id.encode()) for t in paid}


async def test_a_task_of_all_processes_is_one_holders_until_its_time_is_over(store):
    assert await store.lease("a task", "one", for_s=0.3)
    assert await store.lease("a task", "one", for_s=0.3), "asking again renews it"
    assert not await store.lease("a task", "two", for_s=0.3)
    assert await store.lease("another task", "two", for_s=0.3)
    await asyncio.sleep(0.4)
    assert await store.lease("a task", "two", for_s=0.3)
