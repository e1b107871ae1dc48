"""Reports and yardsticks of the ledger, and intervals against their definition."""

import csv
import json
from math import isclose

import pytest
from backtest_parts import DAY_MS, FIRST_MS, NEW_POLICY, ledger, ledger_archive

from scoring.backtest.costs import load_costs
from scoring.backtest.intervals import wilson
from scoring.backtest.report import Beside, report_json
from scoring.backtest.report_page import report_remarks, report_sheets, report_tables
from scoring.backtest.run import BacktestOptions, backtest
from scoring.backtest.source import source_of
from scoring.backtest.yardsticks import RemoteFraud, yardsticks
from scoring.core.csv_text import csv_of
from scoring.core.features.catalogue import default_catalogue
from scoring.core.features.rates import no_rates
from scoring.core.policy.policy import load_policy
from scoring.errors import BadArtifact

CATALOGUE = default_catalogue().converting_by(no_rates("EUR"))
OPTIONS = BacktestOptions(days=50, label_delay_days=20, memory_mb=512)
POLICY = NEW_POLICY.replace(
    "    owner: strategy", "    owner: strategy\n    starts: 2026-01-05T00:00:00Z"
)
COSTS = """
version: 1
costs: &usual
  missed_fraud: {share: 1.0, fixed_minor: 1000}
  refused_customer: {share: 0.1, fixed_minor: 500}
  challenge: {fixed_minor: 20, genuine_abandons: 0.1, fraud_passes: 0.1}
  review: {fixed_minor: 300, fraud_found: 0.95}
segments:
  channel ATM:
    <<: *usual
    refused_customer: {fixed_minor: 70000}
"""
JUDGED = ("fraud", "legitimate", "assumed_legitimate")


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    directory = tmp_path_factory.mktemp("report")
    ledger_archive(directory, CATALOGUE)
    policy = load_policy(POLICY, catalogue=CATALOGUE, name="policy.yaml")
    source = source_of(directory, CATALOGUE)
    return backtest(source, policy, policy, options=OPTIONS), policy, source


@pytest.fixture(scope="module")
def written(judged):
    found, policy, source = judged
    costs = load_costs(COSTS, name="costs.yaml")
    beside = Beside(yardsticks(source, OPTIONS), costs=costs)
    return report_json(found, policy, beside)


def eligible():
    outside = {"outside", "other definitions"}
    return [row for row in ledger() if row["truth"] not in outside]


def test_a_rules_precision_and_recall_are_of_what_is_known_with_intervals(written):
    (many,) = [one for one in written["rules"] if one["rule"] == "many"]
    rows = eligible()
    hits = [r for r in rows if r["card_count_1h"] and int(r["card_count_1h"]) > 5]
    frauds = sum(row["truth"] == "fraud" for row in hits)
    judged = sum(row["truth"] in JUDGED for row in hits)
    every = sum(row["truth"] == "fraud" for row in rows)
    assert many["hits"] == len(hits)
    assert isclose(many["precision"], frauds / judged)
    assert many["precision_interval"] == wilson(frauds, judged)
    assert isclose(many["recall"], frauds / every)
    refused = [
        row for row in hits if row["new"] == "decline" and row["truth"] in JUDGED[1:]
    ]
    assert many["false_refusals"] == len(refused)
    assert many["owner"] == "strategy"
    assert many["age_days"] == 55.0
    assert many["last_hit_ms"] is not None


def test_a_segments_rates_are_of_its_own_payments(written):
    at_machines = written["segments"][0]
    rows = [row for row in eligible() if row["channel"] == "ATM"]
    approved = [row for row in rows if row["new"] == "approve"]
    assert at_machines["segment"] == "channel ATM"
    assert at_machines["payments"] == len(rows)
    assert isclose(at_machines["approval_rate"], len(approved) / len(rows))
    frauds = sum(row["truth"] == "fraud" for row in approved)
    judged = sum(row["truth"] in JUDGED for row in approved)
    assert isclose(at_machines["fraud_rate_by_count"], frauds / judged)


def test_the_rate_of_remote_fraud_is_by_amount_of_what_was_accepted(written):
    remote = written["yardsticks"]["remote_fraud"]
    rows = [
        row
        for row in ledger()
        if row["truth"] != "outside"
        and row["channel"] == "ECOMMERCE"
        and row["recorded"] != "decline"
        and row["currency"] == "EUR"
    ]
    frauds = [row for row in rows if row["verdict"] == "fraud"]
    amounts = [sum(int(r["amount_minor"]) for r in part) for part in (rows, frauds)]
    assert [remote["amount_minor"], remote["fraud_minor"]] == amounts
    assert remote["exempt_up_to_eur"] == 0
    assert "all accepted remote payments" in remote["formula"]


@pytest.mark.parametrize(
    ("fraud", "up_to"), [(1_300, 100), (1_301, 0), (600, 250), (100, 500), (101, 250)]
)
def test_an_exemption_is_open_up_to_its_bands_edge(fraud, up_to):
    assert RemoteFraud(1_000_000, fraud).exempt_up_to_eur == up_to


def test_without_remote_payments_there_is_no_rate():
    assert RemoteFraud(0, 0).exempt_up_to_eur is None


def test_the_reports_are_tables_and_json(written):
    json.dumps(written)
    titles = [sheet.title for sheet in report_sheets(written)]
    assert titles[:5] == [
        *("Rules", "Rules beside one another", "Segments"),
        *("Costs by rule", "Costs by segment"),
    ]
    assert titles[5].startswith("Remote payments: fraud rate =")
    assert "(EU) 2018/389" in titles[5]


def cost_of(rows, truths, *, share, fixed, at_machines):
    """What the payments of some classes cost by hand; JPY are 0 in the reference."""
    return sum(
        at_machines
        if at_machines is not None and row["channel"] == "ATM"
        else fixed
        + share * (int(row["amount_minor"]) if row["currency"] == "EUR" else 0)
        for row in rows
        if row["truth"] in truths
    )


def test_a_rules_refusals_cost_what_the_file_says_of_each_segment(written):
    (many,) = [one for one in written["rules"] if one["rule"] == "many"]
    hits = [r for r in eligible() if r["card_count_1h"] and int(r["card_count_1h"]) > 5]
    declined = [row for row in hits if row["new"] == "decline"]
    refused = cost_of(declined, JUDGED[1:], share=0.1, fixed=500, at_machines=70_000)
    stopped = cost_of(declined, ["fraud"], share=1, fixed=1_000, at_machines=None)
    assert refused > 0
    assert many["cost"] == pytest.approx(
        {"refused_customers_minor": refused, "fraud_stopped_minor": stopped}, abs=1
    )


def test_a_segments_outcomes_cost_what_is_worked_out_by_hand(written):
    at_machines = written["segments"][0]
    rows = [row for row in eligible() if row["channel"] == "ATM"]
    by_outcome = {
        outcome: [row for row in rows if row["new"] == outcome]
        for outcome in ("approve", "challenge", "review", "decline")
    }
    usual = {"share": 1, "fixed": 1_000, "at_machines": None}
    lost = {o: cost_of(own, ["fraud"], **usual) for o, own in by_outcome.items()}
    refused = {
        o: 70_000 * sum(row["truth"] in JUDGED[1:] for row in own)
        for o, own in by_outcome.items()
    }
    known = {
        o: sum(row["truth"] in JUDGED for row in own) for o, own in by_outcome.items()
    }
    held = 20 * known["challenge"] + 0.1 * (lost["challenge"] + refused["challenge"])
    held += 300 * known["review"] + 0.05 * lost["review"]
    by_hand = {
        "missed_fraud_minor": lost["approve"],
        "refused_customers_minor": refused["decline"],
        "held_minor": held,
        "total_minor": lost["approve"] + refused["decline"] + held,
    }
    assert at_machines["cost"] == pytest.approx(by_hand, abs=1)


def test_costs_of_a_segment_that_is_none_are_refused(judged):
    costs = load_costs(COSTS.replace("channel ATM", "channel ATMs"), name="costs.yaml")
    found, policy, _ = judged
    with pytest.raises(BadArtifact, match="'channel ATMs' is no segment"):
        report_json(found, policy, Beside(costs=costs))


def test_each_share_has_its_formula_and_its_interval_or_why_it_has_none(written):
    shares = ("precision", "recall", "approval_rate", "fraud_rate_by_count")
    parts = written["rules"][0] | written["segments"][0]
    for name in shares:
        assert "Wilson" in written["formulas"][name]
        assert f"{name}_interval" in parts
    assert "no interval" in written["formulas"]["fraud_rate_by_value"]
    assert written["yardsticks"]["remote_fraud"]["source"].startswith("Regulation (EU)")


def test_the_newest_label_is_told_with_its_age(written):
    days = [int(row["label_day"]) for row in ledger() if row["label_day"]]
    assert written["newest_label_ms"] == FIRST_MS + max(days) * DAY_MS
    age = written["newest_label_age_days"]
    assert any(f"{age:g} days before" in line for line in report_remarks(written))


def test_every_table_is_a_csv_of_numbers_with_the_rules_overlaps(written):
    tables = report_tables(written)
    assert list(tables) == [
        *("rules", "segments", "formulas", "remote-fraud", "disputes")
    ]
    text = csv_of(tables["rules"]).decode("utf-8-sig")
    rows = {row["rule"]: row for row in csv.DictReader(text.splitlines())}
    (many,) = [one for one in written["rules"] if one["rule"] == "many"]
    assert float(rows["many"]["precision"]) == many["precision"]
    assert float(rows["many"]["precision_low"]) == many["precision_interval"][0]
    assert int(rows["many"]["cost.refused_customers_minor"]) > 0
    assert all(f"{name} {n}" in rows["many"]["overlaps"]
               for name, n in many["overlaps"].items())  # fmt: skip


@pytest.mark.parametrize(
    ("hits", "count"), [(0, 10), (1, 1), (3, 50), (500, 1_000), (10, 10)]
)
def test_the_interval_holds_the_shares_whose_own_spread_reaches_the_seen_one(
    hits, count
):
    low, high = wilson(hits, count)
    seen = hits / count
    for edge in (low, high):
        if 1e-9 < edge < 1 - 1e-9:
            spread = 1.959964 * (edge * (1 - edge) / count) ** 0.5
            assert isclose(abs(seen - edge), spread, rel_tol=1e-9, abs_tol=1e-7)
    assert low <= seen <= high
    assert wilson(0, 0) is None
