"""What the console costs those who decide, and how long its pages take.

    make bench NAME=console

Service, control plane and console are processes on this machine. Payments come at 500 a
second; in turns the console does not run, and runs with five viewers of the live page.
Compared are decisions that came in time, and beside them what console and viewers cost.
Then each page is read over an archive of a million decisions, its first byte and its
last, and the first content that Chromium paints, where there is one. The last line is
JSON. BENCH_ROWS, BENCH_ROUNDS and BENCH_SECONDS name other counts.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import grpc

from benchmarks.console_archive import DAY_MS, DAYS, archived
from benchmarks.pipeline import MODEL
from load_tests.traffic import Traffic
from scoring.client.control_plane import ControlApi, OverHttp
from scoring.core.features.catalogue import default_catalogue
from scoring.embedded.child import free_port
from scoring.embedded.service import ServiceProcess, parts, service, services
from scoring.kafka.topic_admin import create_topics
from scoring.kafka.topic_names import Topics
from scoring.training.progress import bar
from scoring.training.train import ensure_demo_model
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "20"))
RATE, BATCH, VIEWERS, AGAIN = 500, 10, 5, 5
TIMEOUT_S = 1.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


# Payments -----------------------------------------------------------------------------


@dataclass
class Turn:
    """What came of the payments of a turn, and what a process took meanwhile."""

    decided: int = 0
    asked: int = 0
    took_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    memory_mb: float = 0.0
    events: int = 0


def paid(stub: Any, traffic: Traffic, seconds: float) -> Turn:
    """Send payments at the rate, whatever comes back; each call has some of them."""
    turn, lock = Turn(), threading.Lock()

    def call(request: calls.BatchCheckTransactionsRequest, due: float) -> None:
        try:
            reply = stub.BatchCheckTransactions(request, timeout=TIMEOUT_S)
            decided = sum(each.HasField("decision") for each in reply.results)
        except grpc.RpcError:
            decided = 0
        with lock:
            turn.decided += decided
            turn.latencies_ms.append((time.perf_counter() - due) * 1e3)

    with ThreadPoolExecutor(16) as callers:
        began, period = time.perf_counter(), BATCH / RATE
        for number in range(round(seconds / period)):
            due = began + number * period
            payments = [traffic.next() for _ in range(BATCH)]
            request = calls.BatchCheckTransactionsRequest(transactions=payments)
            time.sleep(max(0.0, due - time.perf_counter()))
            callers.submit(call, request, due)
            turn.asked += BATCH
    turn.took_s = time.perf_counter() - began
    return turn


# The console --------------------------------------------------------------------------


@dataclass
class Reader:
    """A browser without a window: a session, and pages by their path."""

    url: str
    token: str
    cookie: str = ""

    def __post_init__(self) -> None:
        form = self.asked("GET", "/login")[2]
        found = _FORM_TOKEN.search(form)
        assert found is not None
        body = urlencode({"form_token": found[1], "token": self.token})
        status, _, _ = self.asked("POST", "/login", body)
        assert status == http.HTTPStatus.SEE_OTHER, status

    def asked(self, method: str, path: str, body: str = "") -> tuple[int, float, str]:
        """Status, milliseconds to the first byte, and the page."""
        connection = self._connection()
        began = time.perf_counter()
        headers = {"cookie": self.cookie, "origin": self.url}
        headers["content-type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        first_ms = (time.perf_counter() - began) * 1e3
        if given := answer.getheader("set-cookie"):
            self.cookie = given.partition(";")[0]
        page = answer.read().decode()
        connection.close()
        return answer.status, first_ms, page

    def watched(self, told: threading.Event, seen: list[int]) -> None:
        """Read the live stream until told, and count its events."""
        connection = self._connection()
        connection.request("GET", "/live/stream", headers={"cookie": self.cookie})
        answer = connection.getresponse()
        while not told.is_set():
            line = answer.readline()
            if not line:
                return
            seen[0] += line.startswith(b"id: ")

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)


@contextmanager
def viewed(console: ServiceProcess, token: str) -> Iterator[list[int]]:
    """Five viewers of the live page, until the block ends; how many events came."""
    told, seen = threading.Event(), [0]
    viewers = [Reader(console.address, token) for _ in range(VIEWERS)]
    threads = [
        threading.Thread(target=each.watched, args=(told, seen), daemon=True)
        for each in viewers
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        told.set()
        for thread in threads:
            thread.join(5)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_mb(pid: int) -> float:
    """The most that a process had in memory so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1_024


# The runs -----------------------------------------------------------------------------


@dataclass
class Stage:
    """The processes, and what starts a console beside them."""

    stub: Any
    token: str
    environment: dict[str, str]
    directory: Path

    def compared(self) -> dict[str, Any]:
        """Turns with the console and without it."""
        traffic, found = Traffic(1), {"without": [], "with": []}
        paid(self.stub, traffic, min(SECONDS, 5.0))  # to warm up
        for turn in range(ROUNDS):
            for name in ("with", "without") if turn % 2 else ("without", "with"):
                found[name].append(self._turn(name, traffic))
        return figures(found["without"], found["with"])

    def _turn(self, name: str, traffic: Traffic) -> Turn:
        if name == "without":
            return paid(self.stub, traffic, SECONDS)
        with (
            service("console", self.environment, directory=self.directory) as console,
            viewed(console, self.token) as seen,
        ):
            pid = console.child.pid
            before, events = cpu_s(pid), seen[0]
            turn = paid(self.stub, traffic, SECONDS)
            turn.cpu_s, turn.memory_mb = cpu_s(pid) - before, memory_mb(pid)
            turn.events = seen[0] - events
            return turn

    def timed(self, first_ms: int) -> dict[str, Any]:
        """How long each page takes, of some readings the middle one."""
        with service("console", self.environment, directory=self.directory) as console:
            reader = Reader(console.address, self.token)
            near = first_ms + 14 * DAY_MS
            chance, pages = random.Random(1), {}
            for name, path in _PAGES.items():
                times = []
                for _ in range(AGAIN):
                    number = chance.randrange(max(ROWS // DAYS, 1))
                    wanted = path.format(id=f"t-14-{number}", near=near)
                    began = time.perf_counter()
                    status, first, _ = reader.asked("GET", wanted)
                    whole = (time.perf_counter() - began) * 1e3
                    assert status == http.HTTPStatus.OK, (wanted, status)
                    times.append((first, whole))
                pages[name] = [
                    round(statistics.median(t), 1) for t in zip(*times, strict=True)
                ]
            return {"pages_ms": pages, "painted_ms": painted(console.address, reader)}


_PAGES = {
    "live": "/live",
    "decision": "/d/default/{id}",
    "links": "/links/default/{id}?near={near}",
    "cases": "/cases",
    "policy": "/policy",
    "history": "/policy/history",
    "backtests": "/policy/backtests",
    "lists": "/lists",
    "health": "/health",
}


def painted(url: str, reader: Reader) -> float | None:
    """When Chromium paints the first content of the live page; None without one."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    with suppress(Exception):  # a machine without a browser measures the rest
        import toolbox
        from playwright.sync_api import sync_playwright

        name, _, value = reader.cookie.partition("=")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=str(toolbox.chromium()), args=["--no-sandbox"]
            )
            context = browser.new_context(base_url=url)
            context.add_cookies([{"name": name, "value": value, "url": url}])
            page, times = context.new_page(), []
            for _ in range(AGAIN):
                page.goto("/live")
                page.wait_for_timeout(200)
                times.append(page.evaluate(_FIRST_PAINT))
            browser.close()
        return round(statistics.median(times), 1)
    return None


_FIRST_PAINT = (
    "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
)


def figures(without: Sequence[Turn], beside: Sequence[Turn]) -> dict[str, Any]:
    """Ratios of pairs of turns, and what the console took."""
    ratios = [
        b.decided / max(a.decided, 1) for a, b in zip(without, beside, strict=True)
    ]
    told: dict[str, Any] = {
        "decided_ratio": round(statistics.median(ratios), 4),
        "decided_share": round(
            sum(t.decided for t in beside) / sum(t.asked for t in beside), 4
        ),
        "console_core_share": round(
            statistics.median(t.cpu_s / t.took_s for t in beside), 4
        ),
        "console_memory_mb": round(max(t.memory_mb for t in beside), 1),
        "events_per_viewer_s": round(
            statistics.median(t.events / VIEWERS / t.took_s for t in beside), 2
        ),
    }
    for name, turns in (("without", without), ("with", beside)):
        every = sorted(ms for turn in turns for ms in turn.latencies_ms)
        for share in (50, 99):
            place = min(len(every) * share // 100, len(every) - 1)
            told[f"{name}_p{share}_ms"] = round(every[place], 1)
    return told


@contextmanager
def staged(scratch: Path, archive: Path) -> Iterator[Stage]:
    """Store, broker, service and control plane, until the block ends."""
    with parts() as running:
        environment = {
            **running.environment_of("bench", model_dir=MODEL, state_dir=scratch),
            "SCORING_ARCHIVE_DIR": str(archive),
            "SCORING_POLICY_FROM": "control",
            "SCORING_DRAIN_NOTICE_S": "0",
            "SCORING_DECISION_FORMAT": "protobuf",
            "SCORING_GRPC_ADDRESS": f"127.0.0.1:{free_port()}",
            "SCORING_CONTROL_ADDRESS": f"127.0.0.1:{free_port()}",
            "SCORING_CONSOLE_ADDRESS": f"127.0.0.1:{free_port()}",
        }
        environment["SCORING_TARGET"] = environment["SCORING_GRPC_ADDRESS"]
        asyncio.run(create_topics(running.client, Topics("bench."), partitions=1))
        started = services(("serve", "control"), environment, directory=scratch)
        with started as (serve, control), grpc.insecure_channel(serve.address) as way:
            admin = (scratch / "control.token").read_text().strip()
            api = ControlApi(OverHttp(control.address, admin))
            body = {"name": "eve", "roles": ["viewer"]}
            token = api.post("people", body=body).json["token"]
            yield Stage(stubs.FraudScoringStub(way), token, environment, scratch)


def main() -> None:
    with bar(transient=True) as report:
        ensure_demo_model(MODEL, default_catalogue(), report)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        first_ms = (time.time_ns() // 1_000_000 // DAY_MS - DAYS) * DAY_MS
        archived(scratch / "archive", ROWS, first_ms)
        with staged(scratch, scratch / "archive") as stage:
            told = {"rows": ROWS, **stage.compared(), **stage.timed(first_ms)}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
