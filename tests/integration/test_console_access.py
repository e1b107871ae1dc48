"""Who may do what in the console, and what a hostile page or text can do: nothing."""

from __future__ import annotations

import re

import pytest
from console_parts import ADMIN, URL, bench_at, decision
from control_parts import text
from markupsafe import escape

from scoring.console.app import ROUTES
from scoring.console.live_pages import event
from scoring.console.sessions import IDLE_S, LIFE_S, SESSIONS_MAX, Sessions
from scoring.console.visit import PageRight
from scoring.control.domain.people import ROLES_OF, PersonRole, Right
from scoring.v1.fraud_scoring_pb2 import GetDecisionResponse

STRANGERS = {"/login", "/logout"}  # nothing else is for them
PAYLOADS = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
)


@pytest.fixture
def bench(tmp_path):
    with bench_at(tmp_path) as made:
        yield made


def filled(path: str) -> str:
    """A path with something in each of its places."""
    for place, value in {
        "{tenant}": "default",
        "{id:path}": "t1",
        "{version}": "0123456789abcdef",
        "{number:number}": "1",
        "{proposal:number}": "1",
        "{name}": "stolen",
        "{table}": "rules",
    }.items():
        path = path.replace(place, value)
    assert "{" not in path, path
    return path


def roles_for(route) -> set[PersonRole]:
    """By the control plane's own table of rights."""
    return set().union(*(ROLES_OF[Right(need.value)] for need in route.needs))


async def asked(browser, route):
    path = filled(route.path)
    return await (browser.get(path) if route.method == "GET" else browser.post(path))


# Who may what -----------------------------------------------------------------------


def test_rights_have_the_control_planes_own_names():
    assert {need.value for need in PageRight} <= {right.value for right in Right}


def test_only_logging_in_and_out_is_for_strangers():
    assert {route.path for route in ROUTES if not route.needs} == STRANGERS


@pytest.mark.parametrize("role", list(PersonRole))
async def test_each_role_comes_to_just_the_pages_and_verbs_that_its_rights_allow(
    bench, role
):
    browser = await bench.logged_in("somebody", role)
    await browser.get("/live")  # for a form's token
    for route in ROUTES:
        if route.needs:
            said = await asked(browser, route)
            denied = "your roles do not allow" in said.text
            assert denied == (role not in roles_for(route)), (route.method, route.path)
            assert not denied or said.status_code == 403
            assert said.status_code != 500, (route.path, said.text)


async def test_a_stranger_comes_to_no_page_and_does_nothing(bench):
    browser = bench.browser()
    await browser.get("/login")
    for route in ROUTES:
        if route.needs:
            said = await asked(browser, route)
            assert said.status_code == 303, route.path
            assert said.headers["location"].startswith("/login?next="), route.path
    said = await browser.get("/live/stream")
    assert said.status_code == 303


async def test_whoever_has_no_token_any_more_is_a_stranger_at_once(bench):
    browser = await bench.logged_in("ann", "viewer")
    assert (await browser.get("/live")).status_code == 200
    bench.plane.people.withdraw(ADMIN, "ann")
    assert (await browser.get("/live")).headers["location"].startswith("/login")
    assert (await browser.get("/live/state")).status_code == 303


# Sessions ---------------------------------------------------------------------------


async def test_a_session_begins_with_an_id_that_no_browser_brought(bench):
    browser = bench.browser()
    browser.client.cookies.set("scoring_console", "planted", domain="console.test")
    await browser.get("/login")
    await browser.post("/login", token=bench.token("ann", "viewer"))
    kept = {cookie.value for cookie in browser.client.cookies.jar}
    assert bench.desk.sessions.of("planted") is None
    assert any(bench.desk.sessions.of(value) for value in kept - {"planted"})


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(bench):
    browser = bench.browser()
    await browser.get("/login")
    said = await browser.post("/login", token=bench.token("ann", "viewer"))
    cookie = said.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert bench.tokens["ann"] not in said.headers["set-cookie"]


async def test_logging_out_ends_the_session_and_not_only_the_cookie(bench):
    browser = await bench.logged_in("ann", "viewer")
    kept = browser.session_id
    await browser.get("/live")
    await browser.post("/logout")
    assert bench.desk.sessions.of(kept) is None


async def test_a_session_ends_unused_after_an_hour_and_used_after_half_a_day(bench):
    browser = await bench.logged_in("ann", "viewer")
    bench.seconds.now_s += IDLE_S - 1
    assert (await browser.get("/live")).status_code == 200
    for _ in range(int(LIFE_S / (IDLE_S - 1))):
        bench.seconds.now_s += IDLE_S - 1
        last = await browser.get("/live")
    assert last.status_code == 303


def test_sessions_are_bounded_and_the_longest_unused_ends_first(bench):
    sessions = Sessions(bench.seconds)
    first, second = sessions.begin("a"), sessions.begin("b")
    sessions.of(first)
    for _ in range(SESSIONS_MAX - 1):
        sessions.begin("c")
    assert sessions.of(first) is not None
    assert sessions.of(second) is None


@pytest.mark.parametrize("token", ["", "fsc_wrong", "a b", "ü", "x" * 9_000])
async def test_a_wrong_token_begins_nothing(bench, token):
    browser = bench.browser()
    await browser.get("/login")
    said = await browser.post("/login", token=token)
    assert said.status_code == 403
    assert bench.desk.sessions.of(browser.session_id) is None


# Other sites ------------------------------------------------------------------------


async def test_a_form_without_the_pages_token_does_nothing(bench):
    browser = await bench.logged_in("ann", "viewer")
    browser.form_token = "0" * 64
    assert (await browser.post("/logout")).status_code == 403
    assert bench.desk.sessions.of(browser.session_id) is not None


async def test_a_form_with_another_browsers_token_does_nothing(bench):
    ann = await bench.logged_in("ann", "viewer")
    bob = await bench.logged_in("bob", "viewer")
    await bob.get("/live")
    ann.form_token = bob.form_token
    assert (await ann.post("/logout")).status_code == 403


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://console.test.evil.example", None]
)
async def test_a_form_of_another_sites_page_does_nothing(bench, origin):
    browser = await bench.logged_in("ann", "viewer")
    await browser.get("/live")
    browser.origin = origin
    assert (await browser.post("/logout")).status_code == 403
    assert bench.desk.sessions.of(browser.session_id) is not None


async def test_a_link_from_a_ticket_opens_although_the_cookie_stays_home(bench):
    browser = bench.browser()
    said = await browser.get("/d/default/t1", **{"sec-fetch-site": "cross-site"})
    assert said.status_code == 200
    assert 'http-equiv="refresh"' in said.text
    said = await browser.get("/d/default/t1", **{"sec-fetch-site": "same-origin"})
    assert said.headers["location"] == "/login?next=%2Fd%2Fdefault%2Ft1"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\r\nlocation: https://evil.example",
        "javascript:alert(1)",
        "",
    ],
)
async def test_a_login_leads_to_no_other_site(bench, wanted):
    browser = bench.browser()
    await browser.get("/login")
    said = await browser.post("/login", token=bench.token("ann", "viewer"), next=wanted)
    assert said.headers["location"] == "/"


async def test_every_answer_forbids_what_a_planted_text_would_need(bench):
    browser = await bench.logged_in("ann", "viewer")
    for path in (
        "/live",
        "/nowhere",
        "/login",
        "/d/default/none",
        "/static/x/console.js",
    ):
        said = await browser.get(path)
        policy = said.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert said.headers["x-content-type-options"] == "nosniff"
        stored = said.headers["cache-control"]
        assert stored == "no-store" or path.startswith("/static")


async def test_what_is_no_form_or_too_large_is_refused(bench):
    browser = await bench.logged_in("ann", "viewer")
    sent = browser.client.post("/logout", json={}, headers={"origin": URL})
    assert (await sent).status_code == 400
    assert (await browser.post("/logout", x="y" * 5_000_000)).status_code == 413


# Texts ------------------------------------------------------------------------------


def planted(payload):
    """A decision with a payload in every text that a caller or a policy may say."""
    said = decision("t1", merchant=payload, rule=payload)
    for reason in said.core.reasons:
        reason.code = reason.wording = payload
    said.core.degradations.add(code=1, detail=payload)
    said.core.versions.model = payload
    said.transaction.attributes[payload] = payload
    said.trace.position = payload
    said.trace.stages[0].stage = payload
    return said


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_a_planted_text_is_shown_as_text(bench, payload):
    browser = await bench.logged_in("ann", "viewer")
    life = GetDecisionResponse(decision=planted(payload))
    life.labels.add(version=1, verdict=1)
    life.events.add(event_id=payload, issuer_code=payload, kind=1)
    bench.payments.lives["default", "t1"] = life
    bench.desk.live.add(life.decision)
    for path in ("/live", "/live/rows", "/d/default/t1"):
        said = await browser.get(path)
        assert said.status_code == 200
        assert "<script>alert" not in said.text
        assert "<img" not in said.text
        assert str(escape(payload)) in said.text
        assert 'href="javascript' not in said.text


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_what_colleagues_write_is_shown_as_text(bench, payload):
    author = await bench.logged_in("ann", "author")
    await author.get("/policy/new")
    drafted = f"# {payload}\n{text(1)}"
    said = await author.post("/policy/new", text=drafted, why=payload)
    assert said.headers["location"] == "/policy/1", said.text
    await author.post("/policy/1/propose", act="release", why=payload)
    await author.post("/lists", name="odd", kind="plain", field="email", about=payload)
    added = await author.post("/lists/odd/entries", token=payload, reason=payload)
    assert added.status_code == 303, added.text
    approver = await bench.logged_in("bob", "approver")
    page = await approver.get("/policy/1")
    version = re.search('name="version" value="([0-9a-f]+)"', page.text)[1]
    done = await approver.post(
        "/proposals/1/approve", version=version, why=payload, at_once="yes"
    )
    assert done.status_code == 303, done.text
    for path in (
        *("/policy", "/policy/1", "/policy/1/edit", "/policy/history", "/lists"),
        *(f"/policy/version/{version}", "/lists/odd"),
    ):
        said = await author.get(path)
        assert said.status_code == 200, path
        assert escape(payload) in said.text or path == "/policy/1/edit"
        assert "<script>alert" not in said.text
        assert "<img" not in said.text
    said = await author.post("/policy/check", text=f"{payload}: 1")
    assert "<script>alert" not in said.text
    assert "<img" not in said.text
    said = await author.post("/lists/odd/look-up", token=payload)
    assert str(escape(payload)) in said.text


def test_a_planted_line_begins_no_event_of_its_own():
    said = event("<td>a\r\n\r\nid: 99\nevent: other\ndata: x</td>", 7)
    lines = [line for line in said.split("\n") if line]
    assert lines[0] == "id: 7"
    assert all(line.startswith("data: ") for line in lines[1:])
    assert "\r" not in said
