"""Reports in the console: made of what is in force, read, and exported."""

from __future__ import annotations

import csv
import io
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from backtest_parts import OLD_POLICY, ledger_archive
from console_parts import ADMIN, bench_at, ended
from markupsafe import escape
from model_parts import registry_of

from scoring.backtest.model_figures import model_figures
from scoring.backtest.report import Beside, report_json
from scoring.backtest.result import plain
from scoring.backtest.run import BacktestOptions, backtest
from scoring.backtest.source import ArchiveSource
from scoring.backtest.yardsticks import yardsticks
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy

PAYLOAD = '=HYPERLINK("https://evil.example/")<img src=x>'


@pytest.fixture
def bench(tmp_path):
    with bench_at(tmp_path) as made:
        yield made


@cache
def figures() -> dict:
    """What a report on the ledger's old version has."""
    catalogue, options = default_catalogue(), BacktestOptions(days=50)
    with TemporaryDirectory() as directory:
        source = ArchiveSource(ledger_archive(Path(directory), catalogue), catalogue)
        policy = load_policy(OLD_POLICY, catalogue=catalogue, name="of a test")
        found = backtest(source, policy, policy, options=options)
        beside = Beside(yardsticks(source, options))
        return plain(found) | {
            "report": report_json(found, policy, beside),
            "models": model_figures(source, lambda _: None, options),
        }


async def made(bench, told):
    """An analyst's browser, and a report that is done."""
    browser = await bench.logged_in("fay", "analyst")
    await browser.get("/reports")
    said = await browser.post("/reports", days="50")
    assert said.headers["location"] == "/reports/1", said.text
    assert "It waits" in (await browser.get("/reports/1")).text
    ended(bench, told)
    return browser


async def test_a_report_is_made_of_what_is_in_force_and_is_no_backtest(bench):
    browser = await made(bench, figures())
    page = (await browser.get("/reports")).text
    assert 'href="/reports/1"' in page
    for rule in figures()["report"]["rules"]:
        assert f"<td>{rule['rule']}</td>" in page
    assert "bps" in page
    assert "2018/389" in page
    assert "There is none." in (await browser.get("/policy/backtests")).text
    job = bench.plane.backtests.told(ADMIN, 1).job
    assert job.is_report


async def test_its_tables_are_exported_and_no_name_in_them_is_a_formula(bench):
    report = figures()["report"]
    rules = [{**rule, "rule": PAYLOAD} for rule in report["rules"]]
    browser = await made(bench, figures() | {"report": {**report, "rules": rules}})
    said = await browser.get("/reports/1/rules.csv")
    assert said.headers["content-type"].startswith("text/csv")
    assert "attachment" in said.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(said.text.removeprefix("\ufeff"))))
    assert len(rows) == len(rules)
    assert {row["rule"] for row in rows} == {f"'{PAYLOAD}"}
    assert rows[0]["hits"] == str(rules[0]["hits"])
    for table in ("segments", "merchants"):
        assert (await browser.get(f"/reports/1/{table}.csv")).status_code == 200
    assert (await browser.get("/reports/1/other.csv")).status_code == 404


async def test_names_in_a_report_are_shown_as_text(bench):
    report = figures()["report"]
    rules = [{**rule, "rule": PAYLOAD, "owner": PAYLOAD} for rule in report["rules"]]
    segments = [{**one, "segment": PAYLOAD} for one in report["segments"]]
    planted = {**report, "rules": rules, "segments": segments}
    browser = await made(bench, figures() | {"report": planted})
    page = (await browser.get("/reports/1")).text
    assert "<img" not in page
    assert str(escape(PAYLOAD)) in page


# Models -------------------------------------------------------------------------------


def decided(*models):
    """What a report says of models that decided."""
    curve = {
        "calibration": [{"score": 0.1, "fraud": 0.2}, {"score": 0.5, "fraud": 0.4}]
    }
    ranked = [{"recall": 0.5, "precision": 0.9}, {"recall": 1.0, "precision": 0.4}]
    moved = {"feature": PAYLOAD, "index": 0.31, "missing": 0.5, "missing_then": 0.0}
    return {
        "quality_source": "labels",
        "drift_source": "baselines",
        "models": [
            {
                **curve,
                "model": model,
                "payments": 2_000,
                "last_ms": 1_700_000_000_000,
                "labelled": 1_000,
                "frauds": 12.0,
                "average_precision": 0.65,
                "precision_recall": ranked,
                "drift": {"rows": 2_000, "score": 0.04, "features": [moved]},
            }
            for model in models
        ],
    }


async def test_a_model_is_promoted_by_two_people_and_taken_back_by_one(bench, tmp_path):
    registry, (first, second) = registry_of(tmp_path / "models")
    author = await bench.logged_in("ann", "author", "approver")
    page = (await author.get("/models")).text
    assert first in page
    await author.post("/models/propose", model=second, why=PAYLOAD)
    page = (await author.get("/models")).text
    assert "You proposed it, so another person approves it." in page
    assert "<img" not in page
    own = await author.post("/models/proposals/1/approve", why="it is mine")
    assert own.status_code == 403
    assert registry.promoted() == first
    approver = await bench.logged_in("bob", "approver")
    await approver.get("/models")
    said = await approver.post("/models/proposals/1/approve", why="looked at")
    assert said.headers["location"] == "/models", said.text
    assert registry.promoted() == second
    assert f"Back to {first}" in (await approver.get("/models")).text
    await approver.post("/models/rollback", champion=second, why="harm")
    assert registry.promoted() == first
    again = await approver.post("/models/rollback", champion=second, why="harm")
    assert again.status_code == 409


async def test_how_models_decided_is_drawn_and_said_in_words(bench, tmp_path):
    _, (first, _) = registry_of(tmp_path / "models")
    browser = await made(bench, figures() | {"models": decided(first)})
    page = (await browser.get("/models")).text
    assert page.count("<polyline") == 3
    assert "Average precision 0.65." in page
    assert "differs from the score by at most 10.00 %" in page
    assert "Score: <strong>0.04</strong>" in page
    assert "<img" not in page
    assert str(escape(PAYLOAD)) in page


async def test_without_a_registry_or_a_report_the_page_says_what_is_lacking(bench):
    browser = await bench.logged_in("eve", "viewer")
    page = (await browser.get("/models")).text
    assert "SCORING_MODEL_DIR" in page
    assert 'Have a <a href="/reports">report</a> made' in page
