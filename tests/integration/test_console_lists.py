"""Lists in the console: looked up, filled by a file that is tried first, and undone."""

from __future__ import annotations

import re

import pytest
from console_parts import bench_at, decision
from markupsafe import escape

from scoring.v1.fraud_scoring_pb2 import GetDecisionResponse

PLANTED = "<script>alert(1)</script>"
FILE = "token,expires,reason\ncard-1,,seen twice\ncard-2,2027-01-01T00:00:00Z,\n"


@pytest.fixture
def bench(tmp_path):
    with bench_at(tmp_path) as made:
        yield made


@pytest.fixture
async def fay(bench):
    """An analyst with a list of cards that has two."""
    browser = await bench.logged_in("fay", "analyst")
    await browser.get("/lists")
    await browser.post("/lists", name="stolen", kind="block", field="card")
    for each in ("card-1", "card-9"):
        await browser.post("/lists/stolen/entries", token=each, reason="by hand")
    return browser


def token(listed):
    """A form's field."""
    return {"token": listed}


def tokens(page):
    entries = page.text[page.text.index("<h2>Entries") : page.text.index('id="files"')]
    return re.findall(r"<tr><td>([^<]+)</td>", entries)


async def listed(browser):
    return tokens(await browser.get("/lists/stolen"))


async def read(browser, content=FILE, **more):
    said = await browser.post("/lists/stolen/imports", content=content, **more)
    assert said.status_code == 303, said.text
    return said.headers["location"]


async def acted(browser, path, act):
    page = await browser.get(path)
    revision = re.search('name="revision" value="([0-9]+)"', page.text)[1]
    return await browser.post(f"{path}/{act}", revision=revision, why="as agreed")


async def test_a_file_says_what_it_would_change_before_it_changes_anything(fay):
    path = await read(fay, replaces="yes", source="partner.csv")
    page = (await fay.get(path)).text
    counts = re.findall("<dt>([^<]+)</dt><dd>([0-9]+)</dd>", page)
    assert dict(counts) == {
        "Added": "1",
        "Changed": "1",
        "Taken off": "1",
        "As they are": "0",
        "More than once in the file": "0",
    }
    assert "Apply it: 1 added, 1 changed, 1 taken off" in page
    assert await listed(fay) == ["card-1", "card-9"]


async def test_what_was_read_is_applied_and_undone_as_one(fay):
    path = await read(fay, replaces="yes", source="partner.csv")
    assert (await acted(fay, path, "apply")).status_code == 303
    assert await listed(fay) == ["card-1", "card-2"]
    assert "of partner.csv: applied" in (await fay.get("/lists/stolen")).text
    assert (await acted(fay, path, "undo")).status_code == 303
    assert await listed(fay) == ["card-1", "card-9"]


async def test_a_file_is_not_applied_to_a_list_that_was_changed_since_it_was_shown(fay):
    path = await read(fay)
    page = await fay.get(path)
    revision = re.search('name="revision" value="([0-9]+)"', page.text)[1]
    await fay.post("/lists/stolen/entries", **token("card-7"))
    said = await fay.post(f"{path}/apply", revision=revision)
    assert said.status_code == 409
    assert "card-2" not in await listed(fay)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "content"),
        ("card\ncard-1\n", "token"),
        ("token\n4111111111111111\n", "card number"),
        ("token,expires\ncard-1,friday\n", "line 2"),
    ],
)
async def test_a_file_with_a_mistake_is_refused_with_its_line(fay, content, told):
    said = await fay.post("/lists/stolen/imports", content=content)
    assert said.status_code in {400, 422}
    assert told in said.text
    assert await listed(fay) == ["card-1", "card-9"]


async def test_what_was_taken_off_is_put_back_from_the_history(fay):
    end = {"expires": "2027-01-01T18:00", "reason": "until new year"}
    await fay.post("/lists/stolen/entries", **token("card-5"), **end)
    await fay.post("/lists/stolen/removals", **token("card-5"))
    page = (await fay.get("/lists/stolen")).text
    form = page[: page.index("Put card-5 back")].rpartition("<form")[2]
    fields = dict(re.findall('name="([a-z]+)" value="([^"]*)"', form))
    assert fields == {
        "token": "card-5",
        "expires": "2027-01-01T18:00:00.000Z",
        "reason": "until new year",
    }
    await fay.post("/lists/stolen/entries", **fields)
    assert "card-5" in await listed(fay)


async def test_a_token_is_found_whole_or_by_how_it_begins(fay):
    page = await fay.post("/lists/stolen/look-up", **token("card-9"))
    assert 'aria-label="What was found"' in page.text
    assert "is not on this list" not in page.text
    page = await fay.post("/lists/stolen/look-up", **token("card-"))
    assert "card- is not on this list" in page.text
    assert 'aria-label="What begins so"' in page.text


async def test_until_friday_holds_all_of_friday(fay):
    page = (await fay.get("/lists/stolen")).text
    until = re.search('value="([^"]*)">until Friday, all of 2023-11-17', page)[1]
    said = await fay.post("/lists/stolen/entries", **token("card-3"), until=until)
    assert said.status_code == 303
    assert "2023-11-18 00:00:00" in (await fay.get("/lists/stolen")).text


async def test_a_token_of_a_payment_is_listed_from_its_page(bench, fay):
    told = decision("t1")
    told.transaction.card = "card-of-t1"
    bench.desk.live.add(told)
    bench.payments.lives["default", "t1"] = GetDecisionResponse(decision=told)
    page = (await fay.get("/d/default/t1")).text
    assert "stolen (block): card card-of-t1" in page
    sent = {"list": "stolen", "token.card": "card-of-t1", "back": "/d/default/t1"}
    said = await fay.post("/lists/token", **sent)
    assert said.headers["location"] == "/d/default/t1"
    assert "card-of-t1 is on the list stolen" in (await fay.get("/d/default/t1")).text
    said = await fay.post("/lists/token", **{**sent, "back": "//evil.example"})
    assert said.headers["location"] == "/lists/stolen"
    said = await fay.post("/lists/token", list="stolen")
    assert said.status_code == 400
    viewer = await bench.logged_in("eve", "viewer")
    assert "card-of-t1</option>" not in (await viewer.get("/d/default/t1")).text


async def test_what_a_file_and_a_reason_say_is_shown_as_text(fay):
    await read(fay, f"token,reason\ncard-x,{PLANTED}\n", source=PLANTED)
    path = "/lists/stolen/imports/1"
    assert str(escape(PLANTED)) in (await fay.get(path)).text
    await acted(fay, path, "apply")
    page = (await fay.get("/lists/stolen")).text
    assert PLANTED not in page
    assert page.count(str(escape(PLANTED))) >= 2
