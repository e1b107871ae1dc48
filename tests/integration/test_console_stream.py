"""The live stream: what came, once, for each viewer, until the process ends."""

from __future__ import annotations

import asyncio

import pytest
from console_parts import bench_at, decision

from scoring.console.live_pages import rendered_figures


@pytest.fixture
def bench(tmp_path):
    with bench_at(tmp_path) as made:
        yield made


async def streamed(bench, path, *, headers=None, ticks=1, fall=()):
    """All that a viewer is sent until the console ends, after so many ticks."""
    browser = await bench.logged_in("eve", "viewer")
    live = bench.desk.live
    reading = asyncio.create_task(browser.get(path, **(headers or {})))
    while not live._tick._waiters:
        assert not reading.done(), reading.result().text
        await asyncio.sleep(0.01)
    for each in fall:
        live.add(each)
    for _ in range(ticks):
        live.tick(rendered_figures(bench.desk.pages, live))
        await asyncio.sleep(0.05)
    live.close()
    async with asyncio.timeout(10):
        return await reading


async def test_a_viewer_is_sent_what_falls_and_the_figures_that_all_share(bench):
    said = await streamed(bench, "/live/stream", fall=[decision("t1")])
    assert said.headers["content-type"].startswith("text/event-stream")
    assert "/d/default/t1" in said.text
    assert bench.desk.live.figures_html.splitlines()[0] in said.text


async def test_no_decision_is_sent_twice(bench):
    said = await streamed(bench, "/live/stream", fall=[decision("t1")], ticks=3)
    assert said.text.count("/d/default/t1") == 1


async def test_a_filter_holds_for_the_stream_too(bench):
    fall = [decision("t1"), decision("t2", merchant="shop-2")]
    said = await streamed(bench, "/live/stream?merchant=shop-2", fall=fall)
    assert "/d/default/t2" in said.text
    assert "/d/default/t1" not in said.text


async def test_a_viewer_who_comes_again_goes_on_where_they_were(bench):
    for name in ("t1", "t2"):
        bench.desk.live.add(decision(name))
    again = {"last-event-id": "1"}
    said = await streamed(bench, "/live/stream?after=0", headers=again)
    assert "/d/default/t2" in said.text
    assert "/d/default/t1" not in said.text


async def test_a_number_of_before_a_restart_leaves_nothing_out(bench):
    again = {"last-event-id": "123456"}
    said = await streamed(bench, "/live/stream", headers=again, fall=[decision("t1")])
    assert "/d/default/t1" in said.text


async def test_a_row_is_rendered_once_for_all_viewers(bench):
    bench.desk.live.add(decision("t1"))
    browser = await bench.logged_in("fay", "analyst")
    await browser.get("/live")
    (row,) = bench.desk.live._rows
    row.html = "<tr><td>rendered before</td></tr>"
    assert "rendered before" in (await browser.get("/live/rows")).text


async def test_what_cannot_be_filtered_by_is_refused_before_a_stream_begins(bench):
    browser = await bench.logged_in("eve", "viewer")
    odd = ("outcome=maybe", "amount=much", "amount=-1", "amount=nan", "segment=card")
    for query in odd:
        assert (await browser.get(f"/live/stream?{query}")).status_code == 400
        assert (await browser.get(f"/live?{query}")).status_code == 400
