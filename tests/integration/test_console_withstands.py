"""The console when what it asks, or who asks it, does not behave."""

from __future__ import annotations

from dataclasses import replace

import pytest
from console_parts import Bench, bench_at

from scoring.client.control_plane import ControlApi, Reply
from scoring.console.app import console_app


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
