"""`scoring cases` at the shell, on the database itself."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
from case_parts import CaseBench, decision
from control_parts import Clock
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.client.control_plane import Refused
from scoring.control.database.database import Database
from scoring.control.domain.people import By, Person, PersonRole

DAN = By(Person("dan", frozenset({PersonRole.ADMIN})))


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Three cases of now, and a list; commands are the person dan's."""
    url = f"sqlite:///{tmp_path / 'control.db'}"
    monkeypatch.setenv("SCORING_CONTROL_DATABASE_URL", url)
    monkeypatch.setattr("pwd.getpwuid", lambda _: SimpleNamespace(pw_name="dan"))
    database = Database(url).migrated()
    now_ms = time.time_ns() // 1_000_000
    bench = CaseBench(database, Clock(now_ms))
    bench.arrives(
        decision("t1", at_ms=now_ms - 100_000_000, amount_minor=500),
        decision("t2", at_ms=now_ms - 50_000, amount_minor=9_000, rules=["mules"]),
        decision("t3", at_ms=now_ms - 40_000, amount_minor=None),
    )
    bench.lists.create(DAN, "stolen", kind="block", field="card")
    yield bench
    database.close()


@pytest.fixture
def run(bench):  # noqa: ARG001 - its database is there first
    runner, app = CliRunner(env={"COLUMNS": "200"}), assemble()

    def run(*words, **more):
        done = runner.invoke(app, ["cases", *words], **more)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    return run


def numbers(output):
    return [json.loads(line)["number"] for line in output.splitlines()]


def test_the_queue_is_shown_filtered_and_ordered(run):
    assert numbers(run("list", "--json")) == [1, 2, 3]
    assert numbers(run("list", "--order", "largest", "--json")) == [2, 1, 3]
    assert numbers(run("list", "--overdue", "--json")) == [1]
    assert numbers(run("list", "--older-than", "1", "--json")) == [1]
    assert numbers(run("list", "--newer-than", "1", "--limit", "1", "--json")) == [2]
    assert numbers(run("find", "customer", "customer-1", "--json")) == [3, 2, 1]
    assert "9,000 EUR" in run("list", "--rule", "mules")
    assert run("figures").startswith("3 open, 0 assigned, 1 overdue; the oldest was")


def test_a_case_is_taken_noted_closed_and_reopened(run, bench):
    assert "case 1 is with dan until" in run("take", "1")
    assert run("note", "1", "called her") == "case 1 has note 1\n"
    assert "is open" in run("release", "1")
    assert "is with gus until" in run("assign", "1", "gus")
    with pytest.raises(Refused, match="is with gus until"):
        run("close", "1", "--verdict", "fraud")
    run("release", "1")
    words = (
        "close",
        "1",
        "--verdict",
        "fraud",
        "--list",
        "stolen",
        "--why",
        "by phone",
    )
    told = run(*words)
    assert "closed: fraud, by dan, label 1, card-t1 on stolen; revision" in told
    assert run(*words) == told
    shown = run("show", "1")
    assert "label 1: fraud, sent: waits" in shown
    assert "dan: called her" in shown
    assert "customer customer-1: 2 other cases: 3, 2" in shown
    assert (
        json.loads(run("show", "1", "--json"))["decision"]["transaction"]["id"] == "t1"
    )
    assert "is open" in run("reopen", "1", "--why", "a mistake")
    assert len(bench.labels()) == 1


def test_many_are_counted_before_anything_is_done_with_them(run, bench):
    words = ("bulk", "--close", "legitimate", "--reason", "TOO_MANY")
    assert run(*words, "--dry-run") == "3 cases are meant\n"
    assert "3 cases are meant" in run(*words, input="n\n")
    assert bench.case().closing is None
    assert run(*words, "--yes") == "3 cases are meant\ndone with 3 cases\n"
    assert run(*words, "--yes") == "0 cases are meant\n"
    assert bench.case(3).closing.by == "dan"


def test_what_is_refused_is_said(run):
    with pytest.raises(Refused, match="verdict"):
        run("close", "1", "--verdict", "guilty")
    with pytest.raises(Refused, match="no list 'nowhere'"):
        run("close", "1", "--verdict", "fraud", "--list", "nowhere")
    with pytest.raises(Refused, match="no case 9"):
        run("show", "9")
