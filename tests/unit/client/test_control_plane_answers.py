"""What is no control plane's answer: always an error that says so, never a state."""

from __future__ import annotations

import http.client
import socket
from contextlib import contextmanager
from threading import Thread

import pytest

from scoring.client.control_plane import ControlApi, OverHttp, Refused
from scoring.errors import BadArtifact, ScoringError, Unavailable

PAGE = b"<!doctype html><title>Sign in</title>"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: "
OF_OTHERS = {
    "a redirect": b"HTTP/1.1 308 Moved\r\nlocation: /v2/me\r\n\r\n",
    "no news": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "a page": OK + b"text/html\r\n\r\n" + PAGE,
    "a page said to be JSON": OK + b"application/json\r\n\r\n" + PAGE,
    "no object": OK + b"application/json\r\n\r\n[1]",
    "nothing": b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "no HTTP": b"220 mail.example ESMTP\r\n",
    "a page of an error": b"HTTP/1.1 502 Bad\r\ncontent-type: text/html\r\n\r\n" + PAGE,
}


@contextmanager
def answering(content: bytes | None):
    """A server that answers each request so; None: it accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            while True:
                try:
                    taken, _ = listening.accept()
                except OSError:
                    return
                if content is not None:
                    with taken:
                        taken.recv(65_536)
                        taken.sendall(content)

        Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("said", OF_OTHERS.values(), ids=OF_OTHERS)
def test_what_no_control_plane_says_is_an_error_that_asks_for_the_address(said):
    with answering(said) as url:
        api = ControlApi(OverHttp(url, "t"))
        with pytest.raises((Refused, Unavailable)) as raised:
            _ = api.get("me").json["name"]
    assert "control plane" in str(raised.value)


def test_a_redirect_says_where_it_leads():
    with answering(OF_OTHERS["a redirect"]) as url, pytest.raises(Unavailable) as told:
        ControlApi(OverHttp(url, "t")).post("releases", body={})
    assert "308, which leads to /v2/me" in str(told.value)


def test_an_answer_that_has_no_content_by_its_status_is_one():
    with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as url:
        assert ControlApi(OverHttp(url, "t")).delete("people", "ann").json is None


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:port",
        "http://127.0.0.1:99999",
        "http://[::1",
        "https://.example.org",
        "https://a b",
        "localhost:8090",
    ],
)
def test_what_is_no_address_is_said_and_never_a_fault_of_the_program(url):
    with pytest.raises(ScoringError) as raised:
        ControlApi(OverHttp(url, "t", timeout_s=1)).get("me")
    assert isinstance(raised.value, BadArtifact | Unavailable)
    assert not isinstance(raised.value, http.client.HTTPException)


def test_a_certificates_roots_that_are_not_there_are_said(tmp_path):
    api = ControlApi(OverHttp("https://127.0.0.1:1", "t", tmp_path / "none.pem"))
    with pytest.raises(Unavailable):
        api.get("me")


def test_a_control_plane_that_accepts_and_says_nothing_is_waited_for_so_long():
    with answering(None) as url, pytest.raises(Unavailable, match="timed out"):
        ControlApi(OverHttp(url, "t", timeout_s=0.1)).get("me")
