"""Backtests by a running control plane: over its API, by the shell, killed."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from backtest_parts import NEW_POLICY, OLD_POLICY, ledger_archive
from control_served import control_serving

from scoring.core.features.catalogue import default_catalogue

WITHIN_S = 90
OPEN = ("queued", "running")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("backtests")
    ledger_archive(directory / "archive", default_catalogue())
    (directory / "old.yaml").write_text(OLD_POLICY)
    (directory / "new.yaml").write_text(NEW_POLICY)
    return directory


def serving(place, directory):
    settings = {"archive_dir": place / "archive", "policy_file": place / "old.yaml"}
    few = {"control_gate_payments": 1}
    return control_serving(directory, drain_s=3, **settings, **few)


@pytest.fixture(scope="module")
def control(place, tmp_path_factory):
    with serving(place, tmp_path_factory.mktemp("plane")) as served:
        served.ask("POST", "/v1/policies", {"text": NEW_POLICY})
        yield served


def told(control, number):
    return control.ask("GET", f"/v1/backtests/{number}").json


def until(control, number, holds):
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        now = told(control, number)
        if holds(now):
            return now
        time.sleep(0.1)
    raise AssertionError(f"{now}, {control.lines}")


def judges(control):
    """The processes that it has started."""
    pid = control.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def lives(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    return False


def test_it_runs_beside_the_api_and_its_figures_stand_at_the_gate(control):
    asked = control.ask("POST", "/v1/backtests", {"policy": 1, "days": 50})
    assert asked.status == 202
    assert asked.headers["retry-after"] == "1"
    number = asked.json["number"]
    assert asked.headers["location"] == f"/v1/backtests/{number}"
    done = until(control, number, lambda now: now["state"] not in OPEN)
    assert done["state"] == "done", done["failed"]
    assert done["computed_by"] == "the control plane"
    figures = done["figures"]
    assert figures["eligible"] == 161
    assert figures["new"]["version"] == done["version"]
    assert figures["curves"][0]["bins"], "the console draws thresholds of them"
    read = control.ask("GET", f"/v1/backtests/{number}")
    again = control.ask(
        "GET", f"/v1/backtests/{number}", if_none_match=read.headers["etag"]
    )
    assert (again.status, again.body) == (304, b"")
    proposal = control.ask("POST", "/v1/policies/1/proposals", {}).json["proposal"]
    assert proposal["backtest"] == number
    because = control.ask("GET", f"/v1/proposals/{proposal['number']}/gate").json
    assert all("it would decline" in line for line in because["because"])
    (listed,) = control.ask("GET", f"/v1/backtests?version={done['version']}").json[
        "items"
    ]
    assert listed["figures"] is None


def test_a_report_has_rules_merchants_and_models_beside_its_figures(control):
    asked = control.ask("POST", "/v1/backtests", {"report": True, "days": 50})
    assert asked.json["report"]
    done = until(control, asked.json["number"], lambda now: now["state"] not in OPEN)
    assert done["state"] == "done", done["failed"]
    assert done["version"] == done["against"]
    report = done["figures"]["report"]
    assert {rule["rule"] for rule in report["rules"]} == {"lists.trusted", "many"}
    assert report["yardsticks"]["disputes"]["formula"]
    assert done["figures"]["models"]["models"] == []  # the ledger names no model
    loss = {"share": 1.0}
    costs = {
        "missed_fraud": loss,
        "refused_customer": loss,
        "challenge": {"genuine_abandons": 0.1, "fraud_passes": 0.1},
        "review": {"fixed_minor": 300, "fraud_found": 0.9},
    }
    path = f"/v1/backtests/{done['number']}/thresholds"
    chosen = control.ask("POST", path, {"costs": costs}).json
    assert [one["segment"] for one in chosen["segments"]] == [
        *("channel ATM", "all others"),
    ]
    assert chosen["text"] == OLD_POLICY  # too few frauds are known to move a level
    wrong = {**costs, "review": {"fixed_minor": 300, "fraud_found": 2}}
    refused = control.ask("POST", path, {"costs": wrong})
    assert (refused.status, refused.json["field"]) == (400, "costs.review.fraud_found")


def shell(place, control, *words):
    outside = {k: v for k, v in os.environ.items() if not k.startswith("SCORING_")}
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "scoring", "policy", "backtest", *words),
            *("--control", control.url),
            *("--token-file", str(control.directory / "control.token")),
        ],
        cwd=place,
        env=outside | {"COLUMNS": "160", "SCORING_STATE_DIR": str(place / "none")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_shell_follows_one_to_its_tables(place, control):
    done = shell(place, control, "new.yaml", "--days", "50", "--decline-more-max", "1")
    out, err = done.communicate(timeout=WITHIN_S)
    assert done.returncode == 1, err
    assert "fraud caught (not approved)" in out
    assert "161 payments" in out
    assert "beyond --decline-more-max 1" in err


def test_ctrl_c_cancels_it_there_and_ends_what_judges(place, control):
    before = control.ask("GET", "/v1/backtests").json["items"][0]["number"]
    run = shell(place, control, "new.yaml", "--days", "50")
    until(control, before + 1, lambda now: now.get("state") == "running")
    (judge,) = judges(control)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=WITHIN_S)
    assert (run.returncode, "is cancelled" in err) == (130, True), err
    assert told(control, before + 1)["state"] == "cancelled"
    end = time.monotonic() + 20
    while lives(judge) and time.monotonic() < end:
        time.sleep(0.05)
    assert not lives(judge)


def test_killed_it_leaves_no_process_and_says_interrupted_when_it_is_back(
    place, tmp_path
):
    with serving(place, tmp_path) as served:
        number = served.ask("POST", "/v1/backtests", {"text": NEW_POLICY}).json[
            "number"
        ]
        until(served, number, lambda now: now["state"] == "running")
        end = time.monotonic() + 20
        while not (found := judges(served)) and time.monotonic() < end:
            time.sleep(0.02)
        served.process.kill()
        served.process.wait()
    end = time.monotonic() + 20
    while any(map(lives, found)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(lives, found))
    with serving(place, tmp_path) as served:
        ended = until(served, number, lambda now: now["state"] not in OPEN)
    assert ended["state"] == "failed"
    assert ended["failed"].startswith("interrupted:")
