"""Cases in the console: from the queue to a label, as it was read or not at all."""

from __future__ import annotations

import re

import pytest
from case_parts import CaseBench, decision
from console_parts import bench_at
from markupsafe import escape

PLANTED = "<script>alert(1)</script>"


@pytest.fixture
def bench(tmp_path):
    with bench_at(tmp_path) as made:
        yield made


@pytest.fixture
def cases(bench):
    """Three cases: two of one customer and device, a large one of others."""
    arrived = CaseBench(bench.plane.database)
    arrived.arrives(decision("t1"), decision("t2", amount_minor=5_000))
    other = {"customer": "customer-9", "device": "device-9"}
    arrived.arrives(decision("t3", amount_minor=900_000, **other))
    return arrived


async def revision_of(browser, number=1):
    page = await browser.get(f"/cases/{number}")
    return re.search('name="revision" value="([0-9]+)"', page.text)[1]


async def test_the_queue_is_in_the_order_and_of_the_kind_that_is_asked_for(
    bench, cases
):
    browser = await bench.logged_in("eve", "viewer")
    numbers = re.findall('href="/cases/([0-9]+)"', (await browser.get("/cases")).text)
    assert numbers == ["1", "2", "3"]
    page = await browser.get("/cases?order=largest&rule=velocity")
    assert re.findall('href="/cases/([0-9]+)"', page.text)[0] == "3"
    assert "There is none." in (await browser.get("/cases?state=closed")).text
    assert cases.case().closing is None


async def test_a_case_is_closed_with_its_label_and_its_device_on_a_list(bench, cases):
    browser = await bench.logged_in("fay", "analyst")
    await browser.get("/lists")
    await browser.post("/lists", name="stolen", kind="block", field="device")
    taken = await browser.post("/cases/1/take", revision=await revision_of(browser))
    assert taken.status_code == 303, taken.text
    assert "assigned: fay" in (await browser.get("/cases/1")).text
    closed = await browser.post(
        "/cases/1/close",
        revision=await revision_of(browser),
        verdict="fraud",
        why="the customer called",
        list="stolen",
        expires="2026-12-04T18:00",
    )
    assert closed.status_code == 303, closed.text
    page = (await browser.get("/cases/1")).text
    assert "the customer called" in page
    assert "Label 1: fraud" in page
    assert [label.verdict for label in cases.labels()] == [1]
    listed = (await browser.get("/lists/stolen")).text
    assert "device-1" in listed
    assert "2026-12-04 18:00:00" in listed
    # Another case of this customer leads to it.
    assert "case 1</a> (fraud)" in (await browser.get("/cases/2")).text


async def test_a_case_that_somebody_else_changed_is_not_closed_unread(bench, cases):
    fay = await bench.logged_in("fay", "analyst")
    gus = await bench.logged_in("gus", "analyst")
    read = await revision_of(fay)
    await gus.post("/cases/1/take", revision=await revision_of(gus))
    said = await fay.post("/cases/1/close", revision=read, verdict="legitimate")
    assert said.status_code == 409
    assert cases.case().closing is None


async def test_the_next_case_is_the_oldest_that_nobody_has(bench, cases):
    browser = await bench.logged_in("fay", "analyst")
    await browser.post("/cases/1/take", revision=await revision_of(browser))
    said = await browser.get("/cases/next")
    assert said.headers["location"] == "/cases/2"
    assert cases.case(2).number == 2


async def test_a_closed_case_is_opened_again_with_a_reason(bench, cases):
    browser = await bench.logged_in("fay", "analyst")
    revision = await revision_of(browser)
    await browser.post("/cases/1/close", revision=revision, verdict="inconclusive")
    revision = await revision_of(browser)
    said = await browser.post("/cases/1/reopen", revision=revision, why="new proof")
    assert said.status_code == 303, said.text
    assert cases.case().closing is None


async def test_what_is_planted_in_a_case_is_shown_as_text(bench, cases):
    names = ("merchant", "customer", "device", "payment_id", "card")
    cases.arrives(decision("t4", **dict.fromkeys(names, PLANTED), rules=[PLANTED]))
    browser = await bench.logged_in("fay", "analyst")
    await browser.get("/cases/4")
    await browser.post("/cases/4/note", text=PLANTED)
    await browser.post(
        "/cases/4/close",
        revision=await revision_of(browser, 4),
        verdict="fraud",
        why=PLANTED,
    )
    for path in ("/cases/4", "/cases?state=closed"):
        said = await browser.get(path)
        assert str(escape(PLANTED)) in said.text
        assert PLANTED not in said.text
