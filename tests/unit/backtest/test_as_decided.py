"""A backtest judges as a version would decide: its lists, its shares, many rules."""

import pyarrow as pa
import pytest
from backtest_parts import DAY_MS, FIRST_MS, NEW_POLICY, ledger, ledger_archive

from scoring.backtest.managed import KnownLists, ManagedTokens
from scoring.backtest.page import remarks
from scoring.backtest.run import BacktestOptions, backtest
from scoring.backtest.side import Judging
from scoring.backtest.source import source_of
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.policy import load_policy
from scoring.core.policy.rollout import point_of
from scoring.core.release.list_release import FOREVER_MS, token_hash
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact

CATALOGUE = default_catalogue()
MANAGED = NEW_POLICY.replace("entries: [{token: vip}]", "managed: true")
ADDED_MS = FIRST_MS + 20 * DAY_MS


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    directory = tmp_path_factory.mktemp("as-decided")
    ledger_archive(directory, CATALOGUE)
    return source_of(directory, CATALOGUE)


def found(source, text, **judging):
    policy = load_policy(text, catalogue=CATALOGUE, name="policy.yaml")
    options = BacktestOptions(
        days=50, label_delay_days=20, memory_mb=512, judging=Judging(**judging)
    )
    return backtest(source, policy, policy, options=options)


def eligible():
    outside = {"outside", "other definitions"}
    return [row for row in ledger() if row["truth"] not in outside]


def trusted(since_ms=ADDED_MS, *, hashed=False):
    tokens = pa.array([token_hash("vip")], pa.uint64()) if hashed else ["vip"]
    rows = pa.table({"token": tokens, "since": [since_ms], "until": [FOREVER_MS]})
    held = ManagedTokens("trusted", 7, rows, hashed, dated=not hashed)
    return KnownLists({"trusted": held}, "a test")


def rule(result, name):
    return next(line for line in result.rules if line.rule == name)


def test_a_managed_list_whose_entries_are_not_known_is_refused_not_empty(source):
    with pytest.raises(BadArtifact, match=r"list 'trusted' is managed.*--database"):
        found(source, MANAGED)


def test_an_entry_counts_for_payments_since_it_was_added(source):
    vips = [row for row in eligible() if row["customer"] == "vip"]
    later = [row for row in vips if FIRST_MS + int(row["day"]) * DAY_MS >= ADDED_MS]
    assert 0 < len(later) < len(vips)
    then = found(source, MANAGED, lists=trusted())
    assert rule(then, "lists.trusted").hits.count == len(later)
    now = found(source, MANAGED, lists=trusted().always())
    assert rule(now, "lists.trusted").hits.count == len(vips)
    hashed = found(source, MANAGED, lists=trusted(0, hashed=True))
    assert rule(hashed, "lists.trusted").hits.count == len(vips)


def test_the_result_says_as_of_when_a_list_was_asked(source):
    then = found(source, MANAGED, lists=trusted())
    assert then.lists == (
        {
            "list": "trusted",
            "revision": 7,
            "entries": 1,
            "as_of": "each payment's time",
            "first_added_ms": ADDED_MS,
        },
    )
    assert any("trusted as of revision 7" in line for line in remarks(then))


def test_a_rollout_acts_for_its_share_and_for_all_where_that_is_asked(source):
    text = NEW_POLICY.replace("owner: strategy", "owner: strategy\n    rollout: 0.4")
    held = [r for r in eligible() if r["card_count_1h"] and int(r["card_count_1h"]) > 5]
    outside = [
        row
        for row in held
        if point_of(Transaction("default", row["id"]), "rule/many") >= 0.4
    ]
    assert 0 < len(outside) < len(held)
    part = found(source, text)
    many = rule(part, "many")
    assert (many.hits.count, many.quiet.count) == (len(held), len(outside))
    assert "many: rolled out, act for their share of the payments" in part.assumes
    whole = found(source, text, everyone=True)
    assert rule(whole, "many").quiet.count == 0
    assert whole.new.outcomes != part.new.outcomes


def test_beyond_62_rules_each_still_has_its_own_hits(source):
    rules = "".join(
        f"\n  - {{id: above_{n}, when: transaction.amount_minor > {n * 100}, "
        "then: review, reason_code: WHY}"
        for n in range(1, 130)
    )
    many = found(source, NEW_POLICY.replace("\nfallbacks:", f"{rules}\nfallbacks:", 1))
    for n in (1, 59, 60, 61, 62, 63, 124, 125, 129):
        above = [row for row in eligible() if int(row["amount_minor"]) > n * 100]
        assert rule(many, f"above_{n}").hits.count == len(above)
