"""The demo runs on real parts, counts honestly and leaves nothing behind."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

FIGURES = {
    "sent", "decided", "lost", "duplicated", "conflicting", "degraded", "refused",
    "superseded", "unfinished",
    "grpc_p50_ms", "grpc_p99_ms", "stream_p50_ms", "stream_p99_ms", "tx_per_s",
}  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """A place with a space in its name; the model is trained once."""
    return tmp_path_factory.mktemp("a demo")


def command(directory, *options):
    return [
        sys.executable, "-m", "scoring", "demo", "--directory", str(directory),
        "--rate", "100", *options,
    ]  # fmt: skip


def without_settings():
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SCORING_", "DEMO_"))
    }


def descendants(pid):
    """Pids of all processes below one, by /proc."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, open_ = [], [pid]
    while open_:
        children = parents.get(open_.pop(), [])
        found += children
        open_ += children
    return found


def alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def eventually(check, *, within_s):
    ends_at = time.monotonic() + within_s
    while not check():
        if time.monotonic() > ends_at:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.timeout(280)
def test_the_demo_ends_by_itself_with_everything_accounted_for(directory):
    done = subprocess.run(
        command(directory),
        env={**without_settings(), "DEMO_SECONDS": "4"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures) == FIGURES
    assert figures["sent"] == figures["decided"] > 100
    assert figures["lost"] == figures["duplicated"] == figures["conflicting"] == 0
    assert figures["grpc_p50_ms"] > 0
    assert figures["tx_per_s"] > 0


def shown_to_people(said):
    """The console answers, and a token of each role does what the role may."""
    (console,) = set(re.findall(r"console  (http://127\.0\.0\.1:\d+)", said))
    tokens = dict(re.findall(r"(\w+) +(fsc_[\w-]+)", said))
    assert set(tokens) == {"author", "approver", "analyst", "viewer"}
    with httpx.Client(base_url=console, timeout=30) as visitor:
        form = visitor.get("/login").text
        hidden = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        answer = visitor.post(
            "/login",
            data={**hidden, "token": tokens["viewer"]},
            headers={"origin": console},
            follow_redirects=True,
        )
        assert answer.status_code == 200
        assert "large amounts to a person" in visitor.get("/policy").text
        assert "stolen_cards" in visitor.get("/lists").text


@pytest.mark.timeout(280)
def test_ctrl_c_leaves_no_process_behind(directory):
    controller, terminal = pty.openpty()
    demo = subprocess.Popen(
        command(directory),
        env={**without_settings(), "TERM": "xterm-256color", "COLUMNS": "120"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    os.set_blocking(controller, False)
    seen = bytearray()

    def showing(text):
        with suppress(OSError):
            seen.extend(os.read(controller, 65_536))
        return re.search(text, bytes(seen)) is not None

    try:
        assert eventually(lambda: showing(b"decisions/s"), within_s=120), bytes(seen)
        children = descendants(demo.pid)
        assert len(children) >= 6  # store, broker, server, worker, control, console
        shown_to_people(bytes(seen).decode(errors="replace"))
        os.killpg(demo.pid, signal.SIGINT)
        assert eventually(
            lambda: showing(b"tx_per_s") and demo.poll() is not None, within_s=120
        ), bytes(seen)[-2_000:]
        assert demo.returncode == 0
        assert eventually(lambda: not any(map(alive, children)), within_s=60)
    finally:
        demo.kill()
        demo.wait()
        os.close(controller)


@pytest.mark.timeout(280)
def test_killing_the_demo_outright_leaves_no_process_behind(directory):
    demo = subprocess.Popen(
        command(directory, "--no-console"),
        env=without_settings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    try:
        for line in demo.stdout:
            if "decided" in line:
                break
        children = descendants(demo.pid)
        assert len(children) >= 4
    finally:
        demo.kill()
        demo.wait()
    assert eventually(lambda: not any(map(alive, children)), within_s=60)


@pytest.mark.timeout(280)
def test_a_worker_that_dies_is_named_with_its_last_words(directory):
    demo = subprocess.Popen(
        command(directory, "--no-console"),
        env=without_settings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    said = []
    try:
        for line in demo.stdout:
            said.append(line)
            if "decided" in line and len(said) < 50:
                workers = [
                    pid
                    for pid in descendants(demo.pid)
                    if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"\0stream\0")
                ]
                os.kill(workers[0], signal.SIGKILL)
                break
        said += demo.stdout.readlines()
        assert demo.wait(120) == 1
    finally:
        demo.kill()
        demo.wait()
    assert "`scoring stream` ended by itself" in "".join(said)
    assert json.loads(said[-1])["sent"] > 0
