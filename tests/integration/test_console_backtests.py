"""Backtests in the console: asked for, followed, cancelled, read, and proposed from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from backtest_parts import NEW_POLICY, OLD_POLICY, ledger_archive
from console_parts import bench_at, ended
from markupsafe import escape

from scoring.backtest.result import plain
from scoring.backtest.run import BacktestOptions, backtest
from scoring.backtest.source import ArchiveSource
from scoring.console.threshold_pages import FIELDS
from scoring.control.domain.people import By, Person, PersonRole
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy

AUTHOR = By(Person("ann", frozenset({PersonRole.AUTHOR})))
PAGE = "/policy/backtests/1"


@pytest.fixture
def bench(tmp_path):
    with bench_at(tmp_path) as made:
        made.plane.policies.draft(AUTHOR, NEW_POLICY)
        yield made


@cache
def figures() -> dict:
    """What the engine finds in the ledger of 200 payments."""
    catalogue = default_catalogue()
    with TemporaryDirectory() as directory:
        source = ArchiveSource(ledger_archive(Path(directory), catalogue), catalogue)
        new, old = (
            load_policy(text, catalogue=catalogue, name="of a test")
            for text in (NEW_POLICY, OLD_POLICY)
        )
        return plain(backtest(source, new, old, options=BacktestOptions(days=50)))


async def asked(bench, name="ann", role="author"):
    """Somebody's browser, at the backtest that they have asked for."""
    browser = await bench.logged_in(name, role)
    await browser.get("/policy/1")
    said = await browser.post("/policy/backtests", policy="1", days="50", why="a look")
    assert said.headers["location"] == PAGE, said.text
    return browser


async def test_one_is_asked_for_on_its_versions_page_and_followed(bench):
    browser = await asked(bench)
    page = (await browser.get(PAGE)).text
    assert "It waits: 0 before it." in page
    assert 'hx-trigger="every 1s"' in page
    job = bench.plane.backtests.begin("of a test")
    bench.plane.backtests.moved(job, "judging", 0.25)
    part = (await browser.get(f"{PAGE}/progress")).text
    assert "judging: 25.0 %" in part
    assert "<html" not in part
    assert PAGE in (await browser.get("/policy/1")).text
    assert "judging" in (await browser.get("/policy/backtests")).text


async def test_one_is_cancelled_and_no_longer_followed(bench):
    browser = await asked(bench)
    await browser.get(PAGE)
    await browser.post(f"{PAGE}/cancel")
    page = (await browser.get(PAGE)).text
    assert "Backtest 1 is cancelled" in page
    assert "every 1s" not in page
    assert 'hx-trigger="load"' in (await browser.get(f"{PAGE}/progress")).text
    again = await browser.post(f"{PAGE}/cancel")
    assert again.status_code == 409
    assert "is cancelled already" in again.text


async def test_what_failed_says_why(bench):
    browser = await asked(bench)
    job = bench.plane.backtests.begin("of a test")
    bench.plane.backtests.failed(job, "no decisions are archived")
    assert "It failed: no decisions are archived" in (await browser.get(PAGE)).text


async def test_what_was_found_is_shown_and_its_payments_open(bench):
    browser = await asked(bench)
    ended(bench, figures())
    page = (await browser.get(PAGE)).text
    many = next(rule for rule in figures()["rules"] if rule["rule"] == "many")
    low, high = many["hits"]["precision_interval"]
    assert f"{low:.1%} to {high:.1%}".replace("%", " %") in page
    flip, part = next(iter(figures()["flips"]["outcomes"].items()))
    assert f"{flip}: {part['count']:,} payments" in page
    for one in part["sample"]:
        assert f'href="/d/default/{one["id"]}"' in page
    assert {part["what"] for part in figures()["flips"]["rules"]} == {"holds now"}
    assert "holds now" in page


async def test_a_version_is_proposed_from_its_backtest_which_the_proposal_carries(
    bench,
):
    browser = await asked(bench)
    ended(bench, figures())
    assert 'action="/policy/1/propose"' in (await browser.get(PAGE)).text
    await browser.post("/policy/1/propose", act="release", why="it finds more")
    assert f'It carries <a href="{PAGE}">' in (await browser.get("/policy/1")).text


async def test_a_draft_that_was_edited_since_is_not_proposed_by_an_old_backtest(bench):
    browser = await asked(bench)
    ended(bench, figures())
    text = NEW_POLICY.replace("decline: 0.5", "decline: 0.6")
    bench.plane.policies.edit(AUTHOR, 1, text, revision=1)
    page = (await browser.get(PAGE)).text
    assert "was edited since" in page
    assert "/policy/1/propose" not in page


async def test_a_viewer_reads_it_and_can_neither_ask_nor_cancel_nor_propose(bench):
    await asked(bench)
    viewer = await bench.logged_in("eve", "viewer")
    assert "Cancel it" not in (await viewer.get(PAGE)).text
    assert "Backtest it" not in (await viewer.get("/policy/1")).text
    ended(bench, figures())
    assert "/policy/1/propose" not in (await viewer.get(PAGE)).text


async def test_figures_of_another_release_are_said_to_be_that(bench):
    browser = await asked(bench)
    ended(bench, {"format": 99, "span": {}})
    assert "Its figures are of another release" in (await browser.get(PAGE)).text


async def test_what_payments_and_rules_are_called_is_shown_as_text(bench):
    payload = "\"><img src=x onerror='alert(1)'>"
    browser = await asked(bench)
    ended(bench, planted(figures(), payload))
    page = (await browser.get(PAGE)).text
    assert "<img" not in page
    assert str(escape(payload)) in page


# Thresholds ---------------------------------------------------------------------------

COSTS = {name: example for name, _, _, example in FIELDS}
BY_COST = f"{PAGE}/thresholds"


def with_frauds(found, count=300):
    """The same figures, with frauds at high scores of one segment."""
    tally = {"amounts_minor": {}, "reference_minor": 5_000, "weighted_minor": 5_000.0}
    bins = [
        {
            "bin": bin_,
            "floor": "approve",
            "class": truth,
            "count": n,
            "weight": n,
            **tally,
        }
        for bin_, truth, n in (
            *((place, "assumed_legitimate", 100) for place in range(0, 600, 10)),
            *((place, "fraud", 10) for place in range(600, 600 + count // 10)),
        )
    ]
    first, *others = found["curves"]
    return {**found, "curves": [{**first, "bins": bins}, *others]}


async def test_the_cheapest_thresholds_are_drawn_and_become_a_draft(bench):
    browser = await asked(bench)
    ended(bench, with_frauds(figures()))
    page = (await browser.get(BY_COST)).text
    assert "the numbers are examples" in page
    assert "Make it a draft" not in page
    query = "&".join(f"{name}={value}" for name, value in COSTS.items())
    page = (await browser.get(f"{BY_COST}?{query}")).text
    assert "<polyline" in page
    assert "only 0 frauds are known: 30 are needed" in page or "known" in page
    said = await browser.post(BY_COST, **COSTS, why="by cost")
    assert said.headers["location"] == "/policy/2", said.text
    drafted = (await browser.get("/policy/2")).text
    assert "Backtest it, and propose it from there" in drafted
    changed = (await browser.get("/policy/2/diff")).text
    assert 'class="removed"' in changed
    assert changed.count("<pre") < 12  # the levels, and nothing else


async def test_thresholds_that_no_other_are_cheaper_than_are_no_draft(bench):
    browser = await asked(bench)
    ended(bench, figures())
    query = "&".join(f"{name}={value}" for name, value in COSTS.items())
    page = (await browser.get(f"{BY_COST}?{query}")).text
    assert "No other levels are cheaper" in page
    assert "are needed" in page
    assert "Make it a draft" not in page


@pytest.mark.parametrize("wrong", ["", "much", "-1", "nan", "1e400"])
async def test_a_cost_that_is_no_number_is_refused_by_its_words(bench, wrong):
    browser = await asked(bench)
    ended(bench, figures())
    query = "&".join(f"{n}={v}" for n, v in {**COSTS, "look_fixed": wrong}.items())
    said = await browser.get(f"{BY_COST}?{query}")
    assert said.status_code == 400
    assert "Review: its price" in said.text


async def test_thresholds_of_what_has_no_figures_say_so(bench):
    browser = await asked(bench)
    assert "there are no figures" in (await browser.get(BY_COST)).text
    said = await browser.post(BY_COST, **COSTS)
    assert said.status_code == 409
    assert "has no figures" in said.text


def planted(found, payload):
    """The same figures with a payload in each text that somebody else has written."""
    flips = found["flips"]["outcomes"]
    sample = [{"tenant": payload, "id": payload}]
    rules = [
        {**rule, "rule": payload, "overlaps": {payload: 1}} for rule in found["rules"]
    ]
    return {
        **found,
        "rules": rules,
        "skipped": {payload: 1},
        "assumes": [payload],
        "flips": {
            "outcomes": {
                flip: {**part, "sample": sample} for flip, part in flips.items()
            },
            "rules": [{**part, "rule": payload} for part in found["flips"]["rules"]],
        },
    }
