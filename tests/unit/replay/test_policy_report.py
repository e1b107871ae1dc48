"""A policy report says what was done, what it caught, and what each rule did."""

import csv
import io
import json

import pytest
from replayed import FIRST_MS, played
from rich.console import Console

from scoring.errors import BadArtifact
from scoring.replay.decisions import write_csv
from scoring.replay.policy_page import policy_sheets, write_policy_report
from scoring.replay.policy_report import policy_report
from scoring.replay.sheet import show
from scoring.replay.slices import Slice


@pytest.fixture
def path(tmp_path):
    return played(
        tmp_path / "run.parquet",
        [
            ("APPROVE", False, [], 1_000, "EUR"),
            ("APPROVE", True, ["device"], 2_000, "EUR"),
            ("APPROVE", None, ["device?"], 4_000, "EUR"),
            ("CHALLENGE", False, [], 8_000, "JPY"),
            ("REVIEW", True, [], 16_000, "EUR"),
            ("DECLINE", True, ["velocity", "device"], 32_000, "EUR"),
            ("DECLINE", False, ["velocity"], 64_000, "EUR"),
            ("DECLINE", False, ["velocity"], 128_000, "USD"),
        ],
    )


def test_outcomes_have_counts_amounts_by_currency_and_frauds(path):
    report = policy_report(path)
    assert {name: part.count for name, part in report.outcomes.items()} == {
        "APPROVE": 3,
        "CHALLENGE": 1,
        "REVIEW": 1,
        "DECLINE": 3,
    }
    declined = report.outcomes["DECLINE"]
    assert declined.amounts == {"EUR": 96_000, "USD": 128_000}
    assert declined.fraud_amounts == {"EUR": 32_000}
    assert (report.all.count, report.all.frauds, report.all.legitimate) == (8, 3, 4)


def test_fraud_caught_counts_false_positives_at_each_level(path):
    stopped = policy_report(path).stopped
    challenged = stopped["CHALLENGE"]
    assert (challenged.count, challenged.frauds, challenged.legitimate) == (5, 2, 3)
    assert challenged.false_positives_per_fraud == 1.5
    declined = stopped["DECLINE"]
    assert declined.precision == pytest.approx(1 / 3)
    assert declined.legitimate_amounts == {"EUR": 64_000, "USD": 128_000}


def test_every_rule_has_its_hits_and_precision_shadow_rules_too(path):
    by_name = {line.rule: line for line in policy_report(path).rules}
    velocity, device = by_name["velocity"], by_name["device"]
    assert (velocity.hits.count, velocity.hits.frauds) == (3, 1)
    assert velocity.stricter.count == 0
    assert (device.mode, device.hits.count, device.hits.precision) == ("shadow", 2, 1.0)
    # Enforced, the shadow rule would have reviewed one fraud that was approved.
    assert (device.stricter.count, device.stricter.frauds) == (1, 1)
    assert device.unknown == 1


def test_a_rule_that_never_held_is_listed_with_no_hits(path):
    rules = [("velocity", "enforce", "DECLINE"), ("asleep", "enforce", "REVIEW")]
    lines = {line.rule: line for line in policy_report(path, rules=rules).rules}
    assert list(lines) == ["velocity", "asleep", "device"]
    assert lines["asleep"].hits == Slice()


def test_earlier_rows_are_left_out(path):
    report = policy_report(path, from_ms=FIRST_MS + 5_000)
    assert report.all.count == 3
    assert report.outcomes["APPROVE"].count == 0


def test_the_report_is_shown_and_written_as_markdown_and_json(path):
    report = policy_report(path)
    page = write_policy_report(report, path)
    text = page.read_text()
    assert "| declined | 3 | 1 | 33.33% | 33.33% | 2.00 | 320.00 EUR |" in text
    assert "8,000 JPY" in text, "a yen has no minor unit"
    plain = json.loads(path.with_suffix(".report.json").read_text())
    assert plain["policies"] == ["p1"]
    assert plain["stopped"]["CHALLENGE"]["false_positives_per_fraud"] == 1.5
    screen = Console(file=io.StringIO(), width=200)
    show(policy_sheets(report), screen)
    assert "velocity" in screen.file.getvalue()


def test_without_labels_nothing_is_said_of_fraud_caught(tmp_path):
    path = played(tmp_path / "a.parquet", [("DECLINE", None, [], 100, "EUR")])
    report = policy_report(path)
    assert report.stopped["DECLINE"].precision is None
    assert "Fraud caught" not in [s.title for s in policy_sheets(report)]


def test_decisions_are_written_as_csv_with_rules_and_reasons(path, tmp_path):
    write_csv(path, tmp_path / "run.csv")
    with (tmp_path / "run.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    last = rows[5]
    assert last["rules"] == "velocity|device (shadow)"
    assert last["reasons"] == "BUSY"
    assert last["occurred_at"] == "2018-04-01T00:00:05.000Z"
    assert rows[2]["rules"] == "device (unknown)"
    assert rows[2]["fraud"] == ""


def test_what_is_no_decisions_file_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(BadArtifact, match="no decisions file"):
        policy_report(tmp_path / "a.parquet")
    with pytest.raises(BadArtifact, match="no such file"):
        policy_report(tmp_path / "absent.parquet")
