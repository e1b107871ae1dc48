"""The HTTP clients of docs/clients.md, as they are there, against our server."""

import json
import os
import re
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import client_page
import httpx
import pytest
import toolbox
from served import serving

from scoring.embedded.child import LOOPBACK, free_port

pytestmark = pytest.mark.foreign
LANGUAGES = ("python", "node", "java", "go")


@pytest.fixture(scope="module")
def server(store_url, model_dir, tmp_path_factory):
    """The address of a server's HTTP door."""
    address = f"{LOOPBACK}:{free_port()}"
    with serving(
        http_address=address,
        redis_url=store_url,
        namespace="http-clients",
        model_dir=model_dir,
        budget_ms=2_000,
        state_dir=tmp_path_factory.mktemp("http-clients"),
    ):
        yield f"http://{address}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory with the page's files, and Gson from the page's gRPC client."""
    home = tmp_path_factory.mktemp("pay")
    for name, text in client_page.blocks("file").items():
        if name.startswith("http/"):
            (home / name).parent.mkdir(exist_ok=True)
            (home / name).write_text(text)
    java = toolbox.required(lambda: client_page.built("java"))
    (home / "target").symlink_to(java / "target")
    return home


@pytest.fixture(scope="module", params=LANGUAGES)
def paid(request, server, home):
    """A language, and its client's first run."""
    return request.param, run(request.param, server, home)


def run(language, address, home, attempt=1):
    """The page's command of a language, as a finished process."""
    command = client_page.blocks("needs")[f"http {language}"]
    order = f"order-http-{language}"
    return subprocess.run(
        ["bash", "-euc", command.replace(f"{order}-1", f"{order}-{attempt}")],
        cwd=home,
        env={**os.environ, "PATH": client_page.path(), "HTTP": address},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def recorded(address, transaction_id):
    """What the client shall have printed: the recorded decision, and its label."""
    found = httpx.get(f"{address}/v1/decisions/{transaction_id}", timeout=10).json()
    core = found["decision"]["core"]
    return [transaction_id, core["outcome"], core["reasons"][0]["code"], "labelled"]


def label_of(address, transaction_id):
    """What the service says of another verdict under the label's version."""
    known = httpx.get(f"{address}/v1/decisions/{transaction_id}", timeout=10).json()
    other = {
        "transactionId": transaction_id,
        "version": 1,
        "verdict": "VERDICT_FRAUD",
        "knownAt": known["decision"]["trace"]["decidedAt"],
    }
    answer = httpx.post(f"{address}/v1/labels", json={"labels": [other]}, timeout=10)
    return answer.json()["results"][0].get("error", {}).get("field")


def test_a_client_prints_the_recorded_decision_and_labels_it(paid, server):
    language, done = paid
    assert done.returncode == 0, done.stdout + done.stderr
    id_ = f"order-http-{language}-1"
    assert done.stdout.split() == recorded(server, id_)
    assert label_of(server, id_) == "verdict"  # another verdict is taken: a conflict


def test_a_client_stops_at_a_conflict_and_says_so(paid, server, home):
    language, _ = paid
    again = run(language, server, home)  # at another time: another payload
    assert again.returncode != 0
    assert "this id was used for another payload" in again.stderr


def test_curl_checks_looks_up_and_labels(server, home):
    done = run("curl", server, home)
    assert done.returncode == 0, done.stdout + done.stderr
    checked, found, labelled = re.split(r"(?<=\})(?=\{)", done.stdout)
    assert json.loads(checked)["decision"] == json.loads(found)["decision"]
    assert json.loads(labelled) == {"results": [{"transactionId": "order-http-curl-1"}]}
    assert label_of(server, "order-http-curl-1") == "verdict"


class Hop(BaseHTTPRequestHandler):
    """Refuses the first call, loses the answer of the second, and then passes on."""

    protocol_version = "HTTP/1.1"
    server: "HopServer"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, body))
        calls = len(self.server.asked)
        if calls == 1:
            self._answer(429, b"", {"retry-after": "1"})
            return
        kept = {n: self.headers[n] for n in ("content-type", "x-timeout-ms")}
        answer = httpx.post(self.server.behind + self.path, content=body, headers=kept)
        if calls == 2:
            self.close_connection = True
            return
        self._answer(answer.status_code, answer.content, {})

    def _answer(self, status, body, headers):
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class HopServer(ThreadingHTTPServer):
    """What `Hop` knows of its calls."""

    def __init__(self, behind):
        super().__init__((LOOPBACK, 0), Hop)
        self.behind = behind
        self.asked = []


@contextmanager
def hop_before(server):
    with HopServer(server) as hop:
        threading.Thread(target=hop.serve_forever, daemon=True).start()
        try:
            yield hop
        finally:
            hop.shutdown()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_client_waits_when_asked_and_repeats_what_was_lost(language, server, home):
    with hop_before(server) as hop:
        address = f"http://{LOOPBACK}:{hop.server_address[1]}"
        done = run(language, address, home, attempt=3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == recorded(server, f"order-http-{language}-3")
    checks = [body for path, body in hop.asked if path == "/v1/checks"]
    assert len(checks) == 3
    assert len(set(checks)) == 1  # the same bytes: never counted twice
