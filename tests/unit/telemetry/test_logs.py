"""Lines are whole, hold no card number, and say what repeats itself once."""

import io
import json
import logging
import os
import random
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from scoring.core.decision.decision import Door, Outcome, Rung, Versions
from scoring.core.transaction.card_number import is_card_number
from scoring.pipeline.answer import Decided
from scoring.telemetry.decision_lines import DecisionLines
from scoring.telemetry.line_writer import LineWriter
from scoring.telemetry.logs import Sink, begin_logs, lines_dropped

OURS = logging.getLogger("scoring.some.room")
THEIRS = logging.getLogger("aiokafka.client.logs-of-this-test")


@pytest.fixture
def said():
    """Everything that goes out as JSON; the loggers are as before afterwards."""
    root, ours = logging.getLogger(), logging.getLogger("scoring")
    before = root.handlers, root.level, ours.level
    stream = io.StringIO()
    begin_logs("json", "info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    logging.captureWarnings(capture=False)


def test_a_line_has_its_time_its_level_what_happened_and_why(said):
    OURS.warning("store %s", "gone", extra={"cause": "silent", "peer": "10.0.0.9"})
    (line,) = said()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "warning",
        "logger": "scoring.some.room",
        "event": "store gone",
        "cause": "silent",
        "peer": "10.0.0.9",
    }


def test_no_field_of_a_call_replaces_what_a_line_says_itself(said):
    OURS.warning("store gone", extra={"level": "info", "event": "all is well"})
    (line,) = said()
    assert (line["level"], line["event"]) == ("warning", "store gone")


def test_a_text_for_people_begins_no_line_of_its_own():
    stream = io.StringIO()
    record = OURS.makeRecord(
        OURS.name, logging.ERROR, "", 0, "a\n2026 INFO scoring: b", (), None
    )
    record.peer = "x\u2028\x1b[2J"
    Sink("console", stream).emit(record)
    (line,) = stream.getvalue().splitlines()
    assert "a\\n2026 INFO scoring: b peer=x\\u2028\\x1b[2J" in line


def test_an_error_keeps_its_traceback(said):
    fail("it broke")
    assert "it broke" in said()[0]["traceback"]


def test_a_library_s_warning_is_a_line_too_and_its_news_is_none(said):
    THEIRS.info("connected")
    THEIRS.warning("no broker")
    OURS.info("ready")
    assert [(line["logger"], line["event"]) for line in said()] == [
        (THEIRS.name, "no broker"),
        (OURS.name, "ready"),
    ]


def test_what_a_library_repeats_is_counted_and_each_change_of_ours_is_said():
    now, stream = 0.0, io.StringIO()
    sink = Sink("json", stream, lambda: now)
    for now in (0.0, 1.0, 61.0):  # noqa: B007 - the clock of the sink
        for node in range(3):
            sink.handle(record(THEIRS.name, f"node {node} is down"))
        sink.handle(record(OURS.name, "store recovered"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("count") for line in lines if line["logger"] == THEIRS.name] == [
        *(None, 5)
    ]
    assert sum(line["event"] == "store recovered" for line in lines) == 3


def test_a_library_that_logs_badly_does_not_fail_by_it(capsys):
    stream = io.StringIO()
    sink = Sink("json", stream)
    bad = record(THEIRS.name, "%d brokers")
    bad.args = ("4111111111111111",)
    sink.handle(bad)
    sink.handle(record(THEIRS.name, "down"))
    told, down = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (told["logger"], told["cause"]) == (THEIRS.name, "bad-line")
    assert down["event"] == "down"
    assert "4111" not in capsys.readouterr().err + stream.getvalue()


def fail(text):
    try:
        int(f"x {text}")
    except ValueError:
        OURS.exception("failed")


def record(name, text):
    return logging.makeLogRecord(
        {"name": name, "msg": text, "levelname": "WARNING", "levelno": 30}
    )


def card_number(rng) -> str:
    while True:
        number = "4" + "".join(rng.choices("0123456789", k=15))
        if is_card_number(number):
            return rng.choice([number, f"{number[:4]} {number[4:8]}-{number[8:]}"])


def test_ten_thousand_payments_leave_no_card_number_in_any_line(said):
    rng = random.Random(20)
    planted = [card_number(rng) for _ in range(10_000)]
    for number in planted:
        match rng.randrange(4):
            case 0:
                OURS.warning("%s is refused", number)
            case 1:
                OURS.error("refused", extra={"field": f"id={number}"})
            case 2:
                THEIRS.warning("cannot send %r to %s", {"card": number}, "b")
            case _:
                fail(number)
    text = json.dumps(said())
    shown = set(re.findall(r"(?=(\d{16}))", re.sub(r"[ -]", "", text)))
    assert not shown & {re.sub(r"[ -]", "", number) for number in planted}
    assert text.count("XXXX") >= 5_000


def test_a_share_of_the_decisions_gets_a_line_with_its_id(said):
    lines = DecisionLines(share=0.1)
    rng = random.Random(1)
    checks = [
        SimpleNamespace(payload_hash=rng.randbytes(32), door=Door.GRPC, dry_run=False)
        for _ in range(1_000)
    ]
    core = SimpleNamespace(
        transaction_id="t-1", tenant="default", outcome=Outcome.DECLINE, score=0.91,
        rung=Rung.FULL, degradations=(), provisional=False, reasons=(),
        versions=Versions("m", "p", "f"),
    )  # fmt: skip
    answer = Decided(b"", Outcome.DECLINE, first=True)
    for _ in range(2):
        lines.say(checks, [core] * 1_000, [answer] * 1_000)
    found = said()
    assert 60 <= len(found) / 2 <= 140
    assert (found[0]["event"], found[0]["decision"]) == ("decided decline", "t-1")
    DecisionLines().say(checks, [core] * 1_000, [answer] * 1_000)
    assert len(said()) == len(found)


def read_all(descriptor, until):
    """Every line that can be read, up to the first that `until` is true of."""
    text = b""
    while not any(map(until, lines := text.decode().splitlines())):
        text += os.read(descriptor, 65_536)
    return lines


def test_who_logs_never_waits_for_a_pipe_that_nobody_reads():
    reading, writing = os.pipe()
    sink = Sink("json", writer := LineWriter(writing, bytes_max=256 * 1024))
    logging.getLogger().addHandler(sink)
    try:
        began = time.monotonic()
        for number in range(5_000):
            sink.handle(record(OURS.name, f"{number} " + "x" * 100))
        assert time.monotonic() - began < 5
        assert writer.dropped_count > 1_000
        assert lines_dropped() == writer.dropped_count
        assert not writer.drained(within_s=0.05)
        lines = read_all(reading, lambda line: "dropped" in line and line[-1] == "}")
    finally:
        logging.getLogger().removeHandler(sink)
        os.close(writing)
        os.close(reading)
    *kept, last = map(json.loads, lines)
    assert last["count"] == writer.dropped_count == 5_000 - len(kept)
    numbers = [int(line["event"].split()[0]) for line in kept]
    assert numbers == sorted(numbers)


def test_lines_of_two_processes_that_share_a_pipe_stay_whole():
    reading, writing = os.pipe()
    writers = [LineWriter(writing), LineWriter(os.dup(writing))]
    sent = [f"{side} {n} " + "x" * 300 for n in range(500) for side in "ab"]
    for line in sent:
        writers[line[0] == "b"].write(f"{line}\n")
    lines, text = [], b""
    while len(lines) < len(sent):
        text += os.read(reading, 5_000)
        *whole, text = text.split(b"\n")
        lines += whole
    assert sorted(lines) == sorted(line.encode() for line in sent)


def test_a_closed_pipe_ends_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(writing)
    writer.write("nobody\n")
    assert writer.drained()
    assert writer.dropped_count == 1
    os.close(writing)


def test_what_a_full_disk_does_not_take_is_counted():
    full = os.open("/dev/full", os.O_WRONLY)
    writer = LineWriter(full)
    for number in range(3):
        writer.write(f"line {number}\n")
    assert writer.drained()
    assert writer.dropped_count == 3
    os.close(full)


def test_a_process_without_standard_error_begins_all_the_same():
    script = (
        "import logging; from scoring.telemetry.logs import begin_logs;"
        "begin_logs('json', 'info'); logging.getLogger('scoring.start').info('line');"
        "print('began')"
    )
    closed = ("sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, script)
    ran = subprocess.run(closed, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "began\n")


@pytest.mark.parametrize("ends", ["1 / 0", "flush_logs(); os._exit(3)"])
def test_nothing_said_is_lost_however_a_process_ends(ends):
    script = (
        "import logging, os; from scoring.telemetry.logs import begin_logs, flush_logs;"
        "begin_logs('json', 'info'); log = logging.getLogger('scoring.start');"
        f"[log.info('line %d', n) for n in range(2_000)]; {ends}"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    said = [line for line in ran.stderr.splitlines() if line.startswith("{")]
    assert [json.loads(line)["event"] for line in said] == [
        f"line {n}" for n in range(2_000)
    ]
