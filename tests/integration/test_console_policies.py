"""Policies in the console: what is refused is said, and what was written is kept."""

from __future__ import annotations

import re
from html import unescape
from importlib.resources import files

import pytest
from console_parts import bench_at
from control_parts import text

from scoring.control.domain.people import By, Person, PersonRole


@pytest.fixture
def bench(tmp_path):
    with bench_at(tmp_path) as made:
        yield made


async def test_a_text_that_is_refused_stays_in_the_editor_with_its_mistake(bench):
    author = await bench.logged_in("ann", "author")
    await author.get("/policy/new")
    rule = "{id: a, when: transaction.amount_minr > 5, then: review, reason_code: NO_SCORE}"  # noqa: E501
    wrong = f"{text(1)}rules: [{rule}]\n"
    said = await author.post("/policy/new", text=wrong, why="a try")
    assert said.status_code == 422
    assert "transaction.amount_minr" in said.text
    assert "did you mean" in said.text
    assert 'value="a try"' in said.text


async def test_of_two_who_edit_the_second_sees_what_the_first_changed(bench):
    author = await bench.logged_in("ann", "author")
    other = await bench.logged_in("dan", "author")
    await author.get("/policy/new")
    await author.post("/policy/new", text=text(1))
    tags = []
    for browser in (author, other):
        page = await browser.get("/policy/1/edit")
        tags.append(unescape(re.search('name="tag" value="([^"]*)"', page.text)[1]))
    first = await author.post("/policy/1/edit", text=text(2), tag=tags[0])
    assert first.status_code == 303
    second = await other.post("/policy/1/edit", text=text(3), tag=tags[1])
    assert second.status_code == 422
    assert "Somebody else was first" in second.text
    assert "+  default: {challenge: 0.05, review: 0.20, decline: 0.302}" in second.text
    assert "decline: 0.303" in second.text  # what was written is not lost


async def test_a_draft_keeps_its_own_table_of_reasons_when_its_text_is_edited(bench):
    table = files("scoring.defaults").joinpath("reasons.yaml").read_text()
    by = By(Person("ann", frozenset({PersonRole.AUTHOR})))
    bench.plane.policies.draft(by, text(1), reasons=table)
    author = await bench.logged_in("ann", "author")
    page = await author.get("/policy/1/edit")
    tag = unescape(re.search('name="tag" value="([^"]*)"', page.text)[1])
    said = await author.post("/policy/1/edit", text=text(2), tag=tag)
    assert said.status_code == 303, said.text
    assert "Its table of reasons" in (await author.get("/policy/1")).text


async def test_a_draft_made_from_a_version_keeps_its_table_and_its_diff_shows_it(
    bench,
):
    shipped = files("scoring.defaults").joinpath("reasons.yaml").read_text()
    table = shipped.replace("resembles fraud", "looks like fraud")
    by = By(Person("ann", frozenset({PersonRole.AUTHOR})))
    bench.plane.policies.draft(by, text(1), reasons=table)
    author = await bench.logged_in("ann", "author")
    await author.get("/policy/new")
    made = await author.post("/policy/new", text=text(2), based_on="1")
    assert made.headers["location"] == "/policy/2", made.text
    assert "looks like fraud" in (await author.get("/policy/2")).text
    assert "table of reasons" not in (await author.get("/policy/2/diff")).text
    bench.plane.policies.draft(by, text(1), reasons=shipped, based_on=1)
    seen = (await author.get("/policy/3/diff")).text
    assert "its table of reasons:" in seen
    assert "-  wording: The payment as a whole looks like fraud." in seen


@pytest.mark.parametrize("of", ["number", "based_on"])
async def test_a_text_is_checked_with_the_table_that_it_will_be_kept_with(bench, of):
    shipped = files("scoring.defaults").joinpath("reasons.yaml").read_text()
    table = shipped.replace("resembles fraud", "looks like fraud")
    by = By(Person("ann", frozenset({PersonRole.AUTHOR})))
    kept = bench.plane.policies.draft(by, text(1), reasons=table).policy
    author = await bench.logged_in("ann", "author")
    page = await author.get("/policy/1/edit")
    assert 'name="number" value="1"' in page.text
    said = await author.post("/policy/check", text=text(1), **{of: "1"})
    assert kept.version in said.text


@pytest.mark.parametrize("based_on", ["9999", "x", "٣", "9" * 5_000])
async def test_a_draft_of_what_is_no_version_is_refused(bench, based_on):
    author = await bench.logged_in("ann", "author")
    await author.get("/policy/new")
    said = await author.post("/policy/new", text=text(1), based_on=based_on)
    assert said.status_code in {400, 404, 422}


async def test_releasing_over_a_release_that_was_not_read_is_refused(bench):
    author = await bench.logged_in("ann", "author")
    approver = await bench.logged_in("bob", "approver")
    await author.get("/policy/new")
    for number in (1, 2):
        await author.post("/policy/new", text=text(number))
        await author.post(f"/policy/{number}/propose", act="release")
        page = await approver.get(f"/policy/{number}")
        version = re.search('name="version" value="([0-9a-f]+)"', page.text)[1]
        await approver.post(
            f"/proposals/{number}/approve", version=version, why="no backtest"
        )
    await approver.post("/policy/1/release", act="release", why="now")
    page = await approver.get("/policy/history")
    tag = unescape(re.search('name="tag" value="([^"]*)"', page.text)[1])
    await approver.post("/policy/2/release", act="release", tag=tag, why="now")
    said = await approver.post("/policy/rollback", why="harm", tag=tag)
    assert said.status_code in {409, 412}
    assert "Nothing was changed" in said.text


RULE = "rules: [{id: large, when: score > 0.9, then: review, reason_code: NO_SCORE}]\n"


async def test_a_rule_is_drafted_in_another_mode_and_nothing_else_changes(bench):
    by = By(Person("ann", frozenset({PersonRole.AUTHOR})))
    bench.plane.policies.draft(by, text(1) + RULE)
    author = await bench.logged_in("ann", "author")
    assert (
        'aria-label="Draft with large as off"' in (await author.get("/policy/1")).text
    )
    said = await author.post("/policy/1/mode", rule="large", mode="off", why="it harms")
    assert said.headers["location"] == "/policy/2", said.text
    assert "Rule large is off in it" in (await author.get("/policy/2")).text
    with bench.plane.policies.read(by.person) as work:
        drafted = work.policies.policy(2)
    assert drafted.checked.text == text(1) + RULE.replace("{id", "{mode: off, id")
    for rule, mode in (("none", "off"), ("large", "gone")):
        refused = await author.post("/policy/1/mode", rule=rule, mode=mode)
        assert refused.status_code == 400


async def test_a_candidates_share_falls_at_once_and_rises_by_a_proposal(bench):
    author = await bench.logged_in("ann", "author")
    approver = await bench.logged_in("bob", "approver")
    await author.get("/policy/new")
    for number in (1, 2):
        act = {"act": "release"} if number == 1 else {"act": "candidate", "share": "10"}
        await author.post("/policy/new", text=text(number))
        await author.post(f"/policy/{number}/propose", **act)
        page = (await approver.get(f"/policy/{number}")).text
        version = re.search('name="version" value="([0-9a-f]+)"', page)[1]
        await approver.post(
            f"/proposals/{number}/approve", version=version, why="w", at_once="yes"
        )
    page = (await approver.get("/policy/2")).text
    assert "Share, % (now 10.0 %)" in page
    tag = unescape(re.search('name="tag" value="([^"]*)"', page)[1])
    moved = {"running": "0.1", "tag": tag, "why": "too many declines"}
    said = await approver.post("/policy/2/share", share="4", **moved)
    assert said.status_code == 303, said.text
    assert "Share, % (now 4.0 %)" in (await approver.get("/policy/2")).text
    said = await author.post("/policy/2/share", share="30", running="0.04", why="well")
    assert said.status_code == 303, said.text
    page = (await author.get("/policy/2")).text
    assert "candidate for 30.0 % of payments – open" in page
    assert "Share, % (now 4.0 %)" in page
