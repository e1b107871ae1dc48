"""`scoring policy backtest`: from files to tables, to JSON, and to a gate."""

import json

import pytest
from backtest_parts import NEW_POLICY, OLD_POLICY, ledger_archive
from typer.testing import CliRunner

from scoring.cli.options.control import plane_at
from scoring.cli.policy import app
from scoring.control.domain.people import By
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.errors import BadArtifact
from scoring.settings import Settings

RULE = """
id: abroad
when: transaction.card_country != transaction.merchant_country && score > 0.05
then: decline
reason_code: ABROAD
reasons:
  ABROAD: The card comes from another country.
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("backtest")
    ledger_archive(directory / "archive", default_catalogue())
    (directory / "old.yaml").write_text(OLD_POLICY)
    (directory / "new.yaml").write_text(NEW_POLICY)
    (directory / "rule.yaml").write_text(RULE)
    return directory


def run(place, *words):
    archive = ("--archive", str(place / "archive"), "--days", "50")
    words = [str(place / w) if w.endswith(".yaml") else w for w in words]
    return CliRunner().invoke(app, ["backtest", *words, *archive])


def test_a_version_is_compared_with_a_file_in_tables(place):
    done = run(place, "new.yaml", "--against", "old.yaml")
    assert done.exit_code == 0, done.output
    assert "fraud caught (not approved)" in done.output
    assert "declined of what the old version does not decline" in done.output


def test_json_is_one_object_with_the_hashes_of_both(place):
    done = run(place, "new.yaml", "--against", "old.yaml", "--json")
    found = json.loads(done.stdout)
    assert found["format"] == 1
    assert found["old"]["version"] != found["new"]["version"]
    assert found["eligible"] == 161


def test_a_rule_alone_is_added_to_the_old_version(place):
    words = ("--rule", "rule.yaml", "--against", "old.yaml", "--json")
    found = json.loads(run(place, *words).stdout)
    assert [line["rule"] for line in found["rules"]][-1] == "abroad"
    assert {change["rule"] for change in found["flips"]["rules"]} == {"abroad"}


@pytest.mark.parametrize(("limit", "status"), [("90", 0), ("0.5", 1)])
def test_declining_more_than_allowed_is_a_status_of_its_own(place, limit, status):
    words = ("new.yaml", "--against", "old.yaml", "--decline-more-max", limit)
    assert run(place, *words).exit_code == status


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name the new version's file, or a rule"),
        (("new.yaml", "--rule", "rule.yaml"), "or a rule with --rule"),
        (("new.yaml", "--decisions", "x.parquet"), "not both"),
        (("--rule", "none.yaml"), "none.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_a_remedy(place, words, told):
    done = run(place, *words)
    assert isinstance(done.exception, BadArtifact)
    assert told in str(done.exception)


@pytest.mark.parametrize("line", ["score > 0.05", "ABROAD:", "then: decline"])
def test_a_bad_rule_is_refused_by_its_file(place, tmp_path, line):
    broken = {"score > 0.05": "@", "ABROAD:": "OTHER:", "then: decline": "then: no"}
    bad = tmp_path / "bad.yaml"
    bad.write_text(RULE.replace(line, broken[line]))
    archive = ("--archive", str(place / "archive"))
    done = CliRunner().invoke(app, ["backtest", "--rule", str(bad), *archive])
    assert isinstance(done.exception, BadArtifact)
    assert str(done.exception).startswith(str(bad))


COSTS = """
version: 1
costs:
  missed_fraud: {share: 1.0, fixed_minor: 1000}
  refused_customer: {fixed_minor: 500}
  challenge: {genuine_abandons: 0.1, fraud_passes: 0.1}
  review: {fixed_minor: 300, fraud_found: 0.95}
"""


def test_a_report_of_the_settings_says_that_a_release_may_have_replaced_them(
    place, monkeypatch
):
    monkeypatch.setenv("SCORING_POLICY_FROM", "control")
    monkeypatch.setenv("SCORING_POLICY_FILE", str(place / "old.yaml"))
    archive = ("--archive", str(place / "archive"), "--days", "50")
    done = CliRunner().invoke(app, ["report", *archive])
    assert done.exit_code == 0, done.output
    assert "a release of the control plane may have replaced" in done.output
    assert "`scoring policy text NUMBER > FILE`" in done.output


def test_a_report_and_cheapest_thresholds_come_from_the_same_archive(place, tmp_path):
    archive = ("--archive", str(place / "archive"), "--days", "50")
    old = str(place / "old.yaml")
    done = CliRunner().invoke(app, ["report", "--policy", old, *archive])
    assert done.exit_code == 0, done.output
    assert "legitimate refused" in done.output
    assert "newest label: " in done.output
    version = load_policy(OLD_POLICY, catalogue=default_catalogue(), name="old").version
    assert f"version {version}\n" in done.output
    assert "which a release" not in done.output
    (tmp_path / "costs.yaml").write_text(COSTS)
    words = ["--cost", str(tmp_path / "costs.yaml"), "--csv", str(tmp_path / "tables")]
    done = CliRunner().invoke(app, ["report", "--policy", old, *words, *archive])
    assert done.exit_code == 0, done.output
    assert "Costs by segment" in done.output
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        *("rules.csv", "segments.csv", "formulas.csv"),
        *("remote-fraud.csv", "disputes.csv"),
    }
    out, plot = tmp_path / "new.yaml", tmp_path / "costs.svg"
    words = ["--cost", str(tmp_path / "costs.yaml"), "--policy", old]
    words += ["--out", str(out), "--plot", str(plot)]
    words += ["--csv", str(tmp_path / "levels")]
    done = CliRunner().invoke(app, ["thresholds", *words, *archive])
    assert done.exit_code == 0, done.output
    assert "frauds are known: 30 are needed" in done.output
    assert out.read_text() == OLD_POLICY, "levels that were kept change nothing"
    assert plot.read_text().startswith("<svg")
    levels = (tmp_path / "levels" / "thresholds.csv").read_text("utf-8-sig")
    assert levels.startswith("segment,challenge_now,review_now,decline_now,")


def test_a_version_of_the_control_plane_keeps_its_figures_for_the_gate(place, tmp_path):
    database = f"sqlite:///{tmp_path / 'control.db'}"
    shell = CliRunner()
    words = ["draft", str(place / "new.yaml"), "--database", database]
    assert shell.invoke(app, words).exit_code == 0
    archive = ("--archive", str(place / "archive"), "--days", "50")
    words = ["backtest", "--proposal", "1", "--database", database, *archive]
    done = shell.invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    with plane_at(Settings(), database) as plane:
        with plane.policies.read(plane.person) as work:
            version = work.policies.policy(1).version
            (kept,) = work.policies.backtests(version)
        answer = plane.policies.propose(By(plane.person), 1)
    assert kept.figures == figures
    assert kept.against == figures["old"]["version"]
    assert kept.declined_count == figures["newly_declined"]["count"]
    assert kept.accepted_count == figures["accepted"]["count"]
    assert answer.proposal.backtest == kept.number
    refused = shell.invoke(app, [*words, "--rule", str(place / "rule.yaml")])
    assert "leave out the file" in str(refused.exception)
