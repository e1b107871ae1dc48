"""Reports and yardsticks of the ledger, and intervals against their definition."""

import json
from math import isclose

import pytest
from backtest_parts import NEW_POLICY, ledger, ledger_archive

from scoring.backtest.intervals import wilson
from scoring.backtest.report import report_json, report_sheets
from scoring.backtest.run import BacktestOptions, backtest
from scoring.backtest.source import source_of
from scoring.backtest.yardsticks import RemoteFraud, yardsticks
from scoring.core.features.catalogue import default_catalogue
from scoring.core.features.rates import no_rates
from scoring.core.policy.policy import load_policy

CATALOGUE = default_catalogue().converting_by(no_rates("EUR"))
OPTIONS = BacktestOptions(days=50, label_delay_days=20, memory_mb=512)
POLICY = NEW_POLICY.replace(
    "    owner: strategy", "    owner: strategy\n    starts: 2026-01-05T00:00:00Z"
)
JUDGED = ("fraud", "legitimate", "assumed_legitimate")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("report")
    ledger_archive(directory, CATALOGUE)
    policy = load_policy(POLICY, catalogue=CATALOGUE, name="policy.yaml")
    source = source_of(directory, CATALOGUE)
    found = backtest(source, policy, policy, options=OPTIONS)
    return report_json(found, policy, yardsticks(source, OPTIONS))


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
    assert titles[:2] == ["Rules", "Segments"]
    assert titles[2].startswith("Remote payments: fraud rate =")


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
