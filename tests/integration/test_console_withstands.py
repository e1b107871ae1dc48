"""The console when what it asks, or who asks it, does not behave."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import httpx
import pytest
from console_parts import URL, Bench, Browser, bench_at, decision

from scoring.client.control_plane import ControlApi, Reply
from scoring.console import app as console
from scoring.console.app import console_app
from scoring.console.follow import FollowedDecisions
from scoring.errors import Unavailable


@pytest.fixture
def bench(tmp_path):
    with bench_at(tmp_path) as made:
        yield made


class Saying:
    """What stands at the control plane's address says always the same."""

    def __init__(self, reply):
        self.reply = reply

    def exchange(self, _method, _target, _headers, _body):
        return self.reply


def before(bench: Bench, transport) -> Bench:
    """The console before something else than its control plane."""
    desk = replace(bench.desk, control=lambda _token: ControlApi(transport))
    return replace(bench, desk=desk, app=console_app(desk))


ANYBODYS = "fsc_wrong"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(308, {"location": "https://control.test/v1/me"}, b""),
        Reply(200, {"content-type": "text/html"}, b"<title>Sign in</title>"),
        Reply(200, JSON, b'{"ready": true}'),
        Reply(200, JSON, b"[]"),
        Reply(204, {}, b""),
    ],
    ids=["redirect", "page", "another service", "list", "nothing"],
)
async def test_a_token_is_taken_only_where_a_control_plane_says_whose_it_is(
    bench, reply
):
    browser = before(bench, Saying(reply)).browser()
    await browser.get("/login")
    said = await browser.post("/login", token=ANYBODYS)
    assert said.status_code == 403
    assert "control plane" in said.text
    assert bench.desk.sessions.of(browser.session_id) is None


# A control plane that does not answer -------------------------------------------------


class Silent:
    """Takes requests, and answers none until it is told that it may end."""

    def __init__(self):
        self.ends = threading.Event()

    def exchange(self, _method, _target, _headers, _body):
        self.ends.wait(30)
        raise Unavailable("the control plane does not answer: timed out")


async def test_a_silent_control_plane_holds_up_neither_the_login_page_nor_the_loop(
    bench, monkeypatch
):
    monkeypatch.setattr(console, "WAITING_MAX", 8)
    known, silent = await bench.logged_in("ann", "viewer"), Silent()
    held = before(bench, silent)
    browser = held.browser()
    browser.client.cookies = known.client.cookies
    waiting = [asyncio.create_task(browser.get("/live")) for _ in range(8)]
    await asyncio.sleep(0.1)
    try:
        async with asyncio.timeout(10):
            assert (await held.browser().get("/login")).status_code == 200
            over = await browser.get("/live")
        assert over.status_code == 503
        assert "requests wait" in over.text
    finally:
        silent.ends.set()
    assert {said.status_code for said in await asyncio.gather(*waiting)} == {503}
    assert (await browser.get("/live")).status_code == 503
    assert "timed out" in (await browser.get("/live")).text


# Strangers ----------------------------------------------------------------------------


async def sent_before_answered(browser, path, parts=64):
    """The answer to a form of 4 MB, and how many of its parts were read for it."""
    read = 0

    async def content():
        nonlocal read
        for _ in range(parts):
            read += 1
            yield b"x" * 65_536

    kind = {"content-type": "application/x-www-form-urlencoded", "origin": URL}
    said = await browser.client.post(path, content=content(), headers=kind)
    return said, read


async def test_nothing_of_a_strangers_form_is_read_and_little_of_a_login(bench):
    browser = bench.browser()
    await browser.get("/login")
    for path in ("/policy/new", "/policy/check", "/logout", "/lists"):
        said, read = await sent_before_answered(browser, path)
        assert (said.status_code, read) == (303, 0), path
    said, read = await sent_before_answered(browser, "/login")
    assert (said.status_code, read) == (413, 1)


@pytest.mark.parametrize("sent", ["ü", "\ud800", "٣" * 64])
async def test_a_form_token_of_any_characters_is_no_more_than_wrong(bench, sent):
    browser = await bench.logged_in("ann", "viewer")
    browser.form_token = sent.encode("utf-8", "replace").decode()
    assert (await browser.post("/logout")).status_code == 403
    assert not bench.desk.sessions.is_form_token(browser.session_id, sent)


@pytest.mark.parametrize("path", ["/policy/{}", "/policy/{}/edit", "/cases/{}"])
async def test_a_number_of_any_length_in_a_path_is_a_page_that_is_not_there(
    bench, path
):
    browser = await bench.logged_in("ann", "author")
    for number in ("9" * 17, "9" * 5_000):
        said = await browser.get(path.format(number))
        assert said.status_code in {404, 422}, said.text
        assert "content-security-policy" in said.headers


@pytest.mark.parametrize("after", ["9" * 5_000, "x", "٣"])
async def test_a_stream_after_what_is_no_number_is_refused(bench, after):
    browser = await bench.logged_in("ann", "viewer")
    assert (await browser.get(f"/live/stream?after={after}")).status_code == 400


async def test_a_file_is_served_under_the_tag_of_its_content_alone(bench):
    tag = bench.desk.assets["console.js"].tag
    browser = bench.browser()
    assert (await browser.get(f"/static/{tag}/console.js")).status_code == 200
    said = await browser.get("/static/of-another-release/console.js")
    assert said.status_code == 404
    assert said.headers["cache-control"] == "no-store"


async def test_what_fails_before_a_page_is_an_answer_held_to_the_same_rules(
    bench, monkeypatch, caplog
):
    def fail(*_given, **_named):
        raise RuntimeError("of a test")

    browser = bench.browser()
    browser = Browser(
        httpx.AsyncClient(
            transport=httpx.ASGITransport(bench.app, raise_app_exceptions=False),
            base_url=URL,
        )
    )
    monkeypatch.setattr(type(bench.desk.pages), "rendered", fail)
    said = await browser.get("/nowhere")
    assert said.status_code == 500
    assert "default-src 'none'" in said.headers["content-security-policy"]
    assert said.headers["cache-control"] == "no-store"
    assert any("RuntimeError at" in getattr(r, "repeats", "") for r in caplog.records)


# Decisions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "NONE"},
        {"security_protocol": "of a test"},
    ],
    ids=["mechanism", "protocol"],
)
async def test_options_that_no_client_takes_are_said_on_the_live_page(bench, options):
    feed = bench.desk.live
    followed = FollowedDecisions("127.0.0.1:1", options, "decisions", 10)
    following = asyncio.create_task(followed.follow(feed))
    try:
        async with asyncio.timeout(10):
            while not feed.fault:
                assert not following.done(), following
                await asyncio.sleep(0.01)
        assert not following.done()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.5, 1.5])
def test_a_score_that_is_none_is_counted_in_no_part_of_the_histogram(bench, score):
    feed = bench.desk.live
    feed.add(decision("t1", score=score))
    assert (feed.minute().count, sum(feed.minute().scores)) == (1, 0)
