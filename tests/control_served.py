"""`scoring control` as a process of its own, and requests to it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
_READY = "control plane on "
_READY_S_MAX = 120.0


@dataclass(frozen=True)
class Said:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class ControlServed:
    """A running control plane; `lines` is what it has said so far, of either kind."""

    process: subprocess.Popen
    directory: Path
    url: str = ""
    lines: list[str] = field(default_factory=list)
    _ready: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith(_READY):
                self.url = line.removeprefix(_READY).strip()
                self._ready.set()
        self._ready.set()

    def wait_until_ready(self) -> None:
        self._ready.wait(_READY_S_MAX)
        assert self.url, f"it never answered: {self.lines}"

    @property
    def token(self) -> str:
        return (self.directory / "control.token").read_text().strip()

    def ask(self, method, path, body=None, *, token="", raw=None, **headers) -> Said:
        """One request; names of headers have _ for -. A token of None sends none."""
        known = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            known.setdefault("authorization", f"Bearer {token or self.token}")
        content = raw
        if body is not None:
            content = json.dumps(body).encode()
        if content is not None:
            known.setdefault("content-type", "application/json")
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, path, content, known)
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Said(answer.status, told, answer.read())
        finally:
            connection.close()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


def start(directory: Path, **settings: object) -> ControlServed:
    """Start one with SCORING_ settings; it may not be ready yet."""
    known = {
        "SCORING_CONTROL_ADDRESS": "127.0.0.1:0",
        "SCORING_DRAIN_NOTICE_S": "0",
        "SCORING_STATE_DIR": str(directory),
        "PYTHONUNBUFFERED": "1",
    }
    known |= {f"SCORING_{name.upper()}": str(value) for name, value in settings.items()}
    outside = {k: v for k, v in os.environ.items() if not k.startswith("SCORING_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "scoring", "control"],
        cwd=ROOT,
        env={**outside, **known},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    served = ControlServed(process, directory)
    threading.Thread(target=served.read, daemon=True).start()
    return served


@contextmanager
def control_serving(directory: Path, **settings: object) -> Iterator[ControlServed]:
    """One that answers; killed at the end if it still runs."""
    served = start(directory, **settings)
    try:
        served.wait_until_ready()
        yield served
    finally:
        served.process.kill()
        served.process.wait()
