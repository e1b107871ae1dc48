"""Cases in the console: from the queue to a label, as it was read or not at all."""

from __future__ import annotations

import re

import pytest
from case_parts import BY_GUS, CaseBench, decision
from console_parts import bench_at
from markupsafe import escape

from scoring.control.domain import case_bulks

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
    assert re.findall(r'href="/cases/([0-9]+)\?rule', page.text)[0] == "3"
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


# From one to the next ----------------------------------------------------------------


async def closed(browser, number, verdict, **more):
    revision = await revision_of(browser, number)
    said = {"revision": revision, "verdict": verdict, **more}
    return await browser.post(f"/cases/{number}/triage", **said)


async def test_closing_in_triage_leads_to_the_next_that_is_asked_for(bench, cases):
    browser = await bench.logged_in("fay", "analyst")
    said = await closed(browser, 3, "legitimate", order="largest")
    assert said.headers["location"] == "/cases/2?order=largest"
    page = await browser.get(said.headers["location"])
    assert "Case 3 is closed: legitimate." in page.text
    assert cases.case(3).closing.wish.verdict == "legitimate"
    for number in (1, 2):
        said = await closed(browser, number, "fraud")
    assert said.headers["location"] == "/cases"
    assert "No case is open." in (await browser.get("/cases")).text


async def test_next_is_behind_the_case_that_is_open_and_begins_anew_at_the_end(
    bench, cases
):
    browser = await bench.logged_in("eve", "viewer")
    led = []
    for after in ("1", "2", "3", "99"):
        said = await browser.get(f"/cases/next?after={after}")
        led.append(said.headers["location"])
    assert led == ["/cases/2", "/cases/3", "/cases/1", "/cases/1"]
    said = await browser.get("/cases/next?after=1&rule=other")
    assert said.headers["location"] == "/cases?rule=other"
    assert cases.case().closing is None


async def test_one_key_refuses_a_payment_and_lists_its_device(bench, cases):
    browser = await bench.logged_in("fay", "analyst")
    await browser.get("/lists")
    await browser.post("/lists", name="stolen", kind="block", field="device")
    page = await browser.get("/cases/1")
    assert re.findall('data-key="([a-z])"', page.text) == ["n", "a", "r", "l", "t"]
    assert "Fraud, and device on stolen" in page.text
    said = await closed(browser, 1, "fraud", list="stolen", until="2026-12-05T00:00")
    assert cases.case().closing.listed
    assert "on list stolen" in (await browser.get(said.headers["location"])).text
    listed = (await browser.get("/lists/stolen")).text
    assert "device-1" in listed
    assert "2026-12-05 00:00:00" in listed


async def test_a_viewer_is_offered_no_key_that_closes(bench, cases):
    browser = await bench.logged_in("eve", "viewer")
    page = await browser.get("/cases/1")
    assert re.findall('data-key="([a-z])"', page.text) == ["n"]
    assert cases.case().closing is None


async def test_many_are_counted_before_anything_is_done_with_them(bench, cases):
    browser = await bench.logged_in("fay", "analyst")
    await browser.get("/cases")
    known = {"act": "fraud", "why": "one gang", "rule": "velocity"}
    page = await browser.post("/cases/bulk", **known)
    assert "<strong>3 cases</strong> are meant" in page.text
    assert cases.case().closing is None
    selection = re.search('name="selection" value="([0-9a-f]{64})"', page.text)[1]
    done = await browser.post("/cases/bulk", **known, selection=selection)
    assert done.headers["location"] == "/cases?rule=velocity"
    assert {cases.case(n).closing.wish.why for n in (1, 2, 3)} == {"one gang"}


async def test_what_somebody_took_while_many_were_closed_is_named(
    bench, cases, monkeypatch
):
    monkeypatch.setattr(case_bulks, "PIECE_COUNT", 2)
    database = bench.plane.database
    monkeypatch.setattr(database, "give_way", lambda: cases.desk.assign(BY_GUS, 3))
    fay = await bench.logged_in("fay", "analyst")
    await fay.get("/cases")
    page = await fay.post("/cases/bulk", act="fraud")
    selection = re.search('name="selection" value="([0-9a-f]{64})"', page.text)[1]
    done = await fay.post("/cases/bulk", act="fraud", selection=selection)
    page = await fay.get(done.headers["location"])
    assert "Done with 2 cases. Not with case 3: " in page.text


async def test_of_many_that_changed_since_they_were_counted_nothing_is_done(
    bench, cases
):
    fay = await bench.logged_in("fay", "analyst")
    await fay.get("/cases")
    page = await fay.post("/cases/bulk", act="take")
    selection = re.search('name="selection" value="([0-9a-f]{64})"', page.text)[1]
    await closed(fay, 2, "fraud")
    said = await fay.post("/cases/bulk", act="take", selection=selection)
    assert said.status_code == 409
    assert not cases.case(1).assignee


@pytest.mark.parametrize("act", ["", "delete", "closed"])
async def test_what_cannot_be_done_with_many_is_refused(bench, cases, act):
    browser = await bench.logged_in("fay", "analyst")
    await browser.get("/cases")
    assert (await browser.post("/cases/bulk", act=act)).status_code == 400
    assert cases.case().closing is None
