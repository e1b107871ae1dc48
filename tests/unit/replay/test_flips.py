"""A comparison says which outcomes flipped, because of which rule, with what fraud."""

import pyarrow.parquet as pq
import pytest
from replayed import FIRST_MS, played
from token_list_parts import listed
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact
from scoring.replay.collect import Collector
from scoring.replay.flips import flips, redecide
from scoring.tables.admission import Row
from scoring.v1 import decision_pb2

POLICY = """
version: 1
name: by amount
thresholds: {default: {decline: 0.9}}
rules:
  - id: dear
    when: transaction.amount_minor >= 5000
    then: decline
    reason_code: DEAR
default: {reason_code: DEAR}
approved: DEAR
reasons: {DEAR: It is dear.}
"""
NAMES = default_catalogue().names


def test_flips_are_counted_with_their_amounts_and_frauds(tmp_path):
    before = [("APPROVE", False, [], 1_000, "EUR"), ("APPROVE", True, [], 2_000, "EUR")]
    after = [
        ("APPROVE", False, [], 1_000, "EUR"),
        ("DECLINE", True, ["velocity"], 2_000, "EUR"),
    ]
    first = played(tmp_path / "a.parquet", before)
    second = played(tmp_path / "b.parquet", after)
    found = flips(first, second)
    assert (found.both, found.count) == (2, 1)
    flipped = found.outcomes["approve → decline"]
    assert (flipped.count, flipped.frauds, flipped.amounts) == (1, 1, {"EUR": 2_000})
    because = found.rules["velocity", "holds now", "approve → decline"]
    assert (because.count, because.fraud_amounts) == (1, {"EUR": 2_000})


def test_a_flip_without_a_rule_is_laid_to_the_score_or_a_fallback(tmp_path):
    first = played(tmp_path / "a.parquet", [("APPROVE", None, [], 1, "EUR")])
    second = played(tmp_path / "b.parquet", [("REVIEW", None, [], 1, "EUR")])
    assert list(flips(first, second).rules) == [("", "", "approve → review")]


@pytest.fixture
def run(tmp_path):
    """A run of four payments, 1,000 to 8,000 cents, approved with a score of 0.1."""
    collector = Collector(tmp_path / "run.parquet")
    for n in range(4):
        transaction = Transaction(
            "default",
            f"t{n}",
            occurred_at_ms=FIRST_MS + n,
            amount_minor=1_000 * 2**n,
            currency="EUR",
            card="c1",
        )
        collector.expect([Row(transaction, n == 3, FIRST_MS)])
        message = decision_pb2.Decision()
        core = message.core
        core.transaction_id, core.score = transaction.id, 0.1
        core.outcome = decision_pb2.OUTCOME_APPROVE
        core.features.extend([float("nan")] * len(NAMES))
        core.reasons.add(code="X")
        collector.take(message)
    collector.close()
    return tmp_path / "run.parquet"


def test_a_policy_decides_a_run_again_on_its_vectors_and_scores(run, tmp_path):
    policy = load_policy(POLICY, catalogue=default_catalogue(), name="policy.yaml")
    redecide(run, policy, tmp_path / "again.parquet")
    rows = pq.read_table(tmp_path / "again.parquet").to_pylist()
    assert [row["outcome"] for row in rows] == ["APPROVE"] * 3 + ["DECLINE"]
    assert rows[3]["rules"][0]["rule"] == "dear"
    assert rows[3]["policy_version"] == policy.version


def test_two_policies_are_compared_over_one_run_by_one_command(run, tmp_path):
    (tmp_path / "old.yaml").write_text(POLICY)
    (tmp_path / "new.yaml").write_text(POLICY.replace("5000", "2000"))
    words = [
        "replay",
        "compare",
        str(tmp_path / "old.yaml"),
        str(tmp_path / "new.yaml"),
    ]
    refused = CliRunner().invoke(assemble(), words)
    assert isinstance(refused.exception, BadArtifact)
    done = CliRunner().invoke(assemble(), [*words, "--decisions", str(run)])
    assert done.exit_code == 0, done.output
    assert "2 of 4 outcomes flipped" in done.output
    assert "holds now" in done.output
    assert "60.00 EUR" in done.output


MANAGED = (
    POLICY
    + """lists:
  stolen: {field: card, then: decline, reason_code: DEAR, managed: true}
"""
)


def test_a_managed_list_holds_for_payments_since_each_entry_was_added(
    run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(POLICY)
    (tmp_path / "new.yaml").write_text(MANAGED)
    words = ["replay", "compare", "old.yaml", "new.yaml", "--decisions", str(run)]
    refused = CliRunner().invoke(assemble(), words)
    assert isinstance(refused.exception, BadArtifact)
    assert "list 'stolen' is managed" in str(refused.exception)
    url = f"sqlite:///{tmp_path / 'lists.db'}"
    listed(url, "stolen", "c1", at_ms=FIRST_MS + 2)
    for more, flipped in (([], 1), (["--lists-as-now"], 3)):
        done = CliRunner().invoke(assemble(), [*words, "--database", url, *more])
        assert done.exit_code == 0, done.output
        # Of four payments of the card the last is declined as dear already.
        assert f"{flipped} of 4 outcomes flipped" in done.output
        assert "list stolen as of revision" in done.output


def test_a_run_of_other_definitions_is_refused(tmp_path):
    path = played(tmp_path / "a.parquet", [("APPROVE", None, [], 1, "EUR")])
    table = pq.read_table(path)
    features = table.schema.get_field_index("features")
    wrong = table.set_column(features, "features", [[[1.0, 2.0]]])
    pq.write_table(wrong.cast(table.schema), path)
    policy = load_policy(POLICY, catalogue=default_catalogue(), name="policy.yaml")
    with pytest.raises(BadArtifact, match="SCORING_FEATURES_FILE"):
        redecide(path, policy, tmp_path / "b.parquet")
