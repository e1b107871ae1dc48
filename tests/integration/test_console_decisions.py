"""A decision's page, from wherever the payment is known; and what if."""

from __future__ import annotations

import re

import pytest
from backtest_parts import labelled, recorded
from case_parts import CaseBench
from case_parts import decision as reviewed
from console_parts import CATALOGUE, bench_at, decision
from markupsafe import escape

from scoring.core.policy.shipped_policy import shipped_text
from scoring.core.transaction.transaction import Transaction
from scoring.history.archive import Archive
from scoring.history.archive_look_up import ArchiveLookUp
from scoring.v1.fraud_scoring_pb2 import GetDecisionResponse

AT_MS = 1_700_000_000_000
PLANTED = "<script>alert(1)</script>"


def archived(number, id_, **fields):
    known = {"occurred_at_ms": AT_MS - 3_600_000 * (number + 1), "currency": "EUR"}
    told = decision(id_)
    told.ClearField("transaction")
    return recorded(
        Transaction("default", id_, **(known | fields)),
        number,
        CATALOGUE,
        outcome="decline",
        decision=told.SerializeToString(),
    )


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("archive"))
    archive.prepare()
    rows = [
        archived(0, "old", card="card-1", device=PLANTED, payment_id="p-1"),
        archived(1, "older", card="card-1", payment_id="p-1"),
        archived(2, PLANTED, card="card-1"),
    ]
    archive.take("decisions", 0, rows, (0, 3))
    archive.take("labels", 0, [labelled("old", 0, AT_MS)], (0, 1))
    return ArchiveLookUp(archive)


@pytest.fixture
def bench(tmp_path, search):
    with bench_at(tmp_path, archive=search) as made:
        yield made


def falls(bench, id_, **fields):
    """A payment that is decided, recorded and seen on the topic."""
    told = decision(id_)
    for name, value in fields.items():
        setattr(told.transaction, name, value)
    bench.desk.live.add(told)
    kept = GetDecisionResponse(decision=told)
    kept.decision.ClearField("transaction")
    bench.payments.lives["default", id_] = kept
    return told


async def test_a_decision_that_the_service_forgot_is_shown_as_it_was_archived(bench):
    browser = await bench.logged_in("eve", "viewer")
    page = await browser.get("/d/default/old")
    assert page.status_code == 200, page.text
    assert "Too many payments." in page.text
    assert "label: fraud" in page.text
    assert "card-1" in page.text
    assert 'href="/d/default/older">older</a>' in page.text  # its other attempt
    assert PLANTED not in page.text
    assert "keeps it of the newest 2,000" in page.text  # shadows: not known, not none


async def test_a_payment_that_nobody_knows_is_said_to_be_in_neither(bench):
    browser = await bench.logged_in("eve", "viewer")
    page = await browser.get("/d/default/never")
    assert page.status_code == 404
    assert "not in the archive" in page.text


async def test_the_fields_of_a_payment_come_from_its_case_where_nothing_else_has_them(
    bench,
):
    arrived = CaseBench(bench.plane.database)
    arrived.arrives(reviewed("t1", device="device-kept"))
    bench.payments.lives["default", "t1"] = GetDecisionResponse(decision=decision("t1"))
    bench.payments.lives["default", "t1"].decision.ClearField("transaction")
    fay = await bench.logged_in("fay", "analyst")
    await fay.get("/cases/1")
    await fay.post("/cases/1/note", text=f"called {PLANTED}")
    await fay.post("/cases/1/close", revision="1", verdict="fraud", why="not his")
    page = (await fay.get("/d/default/t1")).text
    assert "device-kept" in page
    moments = re.findall("case 1 opened|note in case 1|case 1 closed", page)
    assert moments == ["case 1 opened", "note in case 1", "case 1 closed"]
    assert "fraud, by fay: not his" in page
    assert PLANTED not in page


async def test_other_payments_of_its_tokens_are_drawn_and_listed_alike(bench):
    falls(bench, "t1", card="card-1", device="device-1")
    falls(bench, "t2", card="card-1", device="device-1")
    falls(bench, "t3", card="card-3")
    browser = await bench.logged_in("eve", "viewer")
    part = await browser.get(f"/links/default/t1?near={AT_MS}", **{"hx-request": "1"})
    assert "<html" not in part.text
    listed = re.findall('<li><a href="/d/default/([^"]+)"', part.text)
    planted = "%3Cscript%3Ealert%281%29%3C%2Fscript%3E"
    assert listed == ["t2", "old", "older", planted, "t2"]  # by card, then by device
    drawn = set(re.findall('<text [^>]*outcome decline">([^:]+):', part.text))
    assert drawn == {"t2", "old", "older", str(escape(PLANTED))}
    assert "3 archived within 30 days, 1 among the newest" in part.text
    whole = await browser.get(f"/links/default/t1?near={AT_MS}")
    assert "<html" in whole.text  # without scripts it is a page


async def test_without_an_archive_that_is_said_and_the_newest_are_still_shown(tmp_path):
    with bench_at(tmp_path) as bench:
        falls(bench, "t1", card="card-1")
        falls(bench, "t2", card="card-1")
        browser = await bench.logged_in("eve", "viewer")
        part = await browser.get(f"/links/default/t1?near={AT_MS}")
        assert "SCORING_ARCHIVE_DIR" in part.text
        assert "archive not looked through, 1 among" in part.text


async def test_a_rule_is_shown_with_what_it_observed_and_its_limit(bench):
    author = await bench.logged_in("ann", "author")
    await author.get("/policy/new")
    await author.post("/policy/new", text=shipped_text(), why="of a test")
    version = re.search("<code>([0-9a-f]{16})", (await author.get("/policy/1")).text)[1]
    told = falls(bench, "t1")
    versions = told.core.versions
    versions.policy, versions.features = version, CATALOGUE.version
    told.core.features[:] = [1.0] * len(CATALOGUE.names)
    told.core.features[CATALOGUE.names.index("card_payments_1h")] = 11.0
    bench.payments.lives["default", "t1"].decision.core.CopyFrom(told.core)
    page = (await author.get("/d/default/t1")).text
    assert "features.card_payments_1h: <strong>11</strong>" in page
    assert "limits.card_payments_1h: <strong>8</strong>" in page


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("id=t1", "/d/default/t1"),
        ("id=a%2Fb", "/d/default/a%2Fb"),
        ("id=t1&tenant=shop", "/d/shop/t1"),
        ("id=//evil.example", "/d/default/%2F%2Fevil.example"),
        ("id=..%2F..%2Flogout", "/d/default/..%2F..%2Flogout"),
    ],
)
async def test_an_id_leads_to_its_page_and_nowhere_else(bench, query, path):
    browser = await bench.logged_in("eve", "viewer")
    assert (await browser.get(f"/find?{query}")).headers["location"] == path
    assert (await browser.get("/find?id=+")).status_code == 400


# What if ----------------------------------------------------------------------------


async def asked(bench, **fields):
    falls(bench, "t1", card="card-1")
    browser = await bench.logged_in("eve", "viewer")
    await browser.get("/d/default/t1")
    sent = {f"field.{name}": value for name, value in fields.items()}
    return await browser.post("/what-if/default/t1", **sent)


async def test_another_amount_is_asked_beside_the_payment_as_it_was(bench):
    said = await asked(bench, amount_minor="900000", card="card-1", channel="ATM")
    same, other = bench.payments.asked
    assert (same.amount_minor, other.amount_minor) == (12_345, 900_000)
    assert (same.card, other.card) == ("card-1", "card-1")
    assert "<strong>amount_minor</strong> from 12345 to 900000" in said.text
    assert "<strong>card</strong>" not in said.text
    row = said.text[said.text.index("Outcome") :]
    outcomes = re.findall('outcome (approve|decline)"', row)
    assert outcomes == ["decline", "approve", "decline"]


async def test_it_is_asked_under_an_id_of_its_own_just_before_the_payment(bench):
    await asked(bench)
    same, other = bench.payments.asked
    assert len({same.id, other.id, "t1"}) == 3
    assert {same.occurred_at_ms, other.occurred_at_ms} == {AT_MS - 1}


@pytest.mark.parametrize(
    ("field", "written"),
    [("amount_minor", "much"), ("channel", "TELEGRAM"), ("latitude", "north")],
)
async def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_field(
    bench, field, written
):
    said = await asked(bench, **{field: written})
    assert said.status_code == 400
    assert field in said.text
    assert not bench.payments.asked


async def test_who_a_payment_is_cannot_be_edited(bench):
    await asked(bench, id="other", tenant="other", occurred_at_ms="5")
    same, other = bench.payments.asked
    assert (other.tenant, other.occurred_at_ms) == (same.tenant, AT_MS - 1)


async def test_a_planted_value_is_shown_as_text(bench):
    said = await asked(bench, merchant=PLANTED)
    assert PLANTED not in said.text
    assert str(escape(PLANTED)) in said.text
