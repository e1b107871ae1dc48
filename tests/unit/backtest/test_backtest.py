"""Backtests of a ledger of 200 payments, each figure worked out by hand."""

import json
from collections import Counter, defaultdict

import pytest
from backtest_parts import NEW_POLICY, OLD_POLICY, ledger, ledger_archive

from scoring.backtest.costs import CostFile, cheapest
from scoring.backtest.levels import levels_by_cost
from scoring.backtest.page import backtest_sheets, remarks
from scoring.backtest.result import plain
from scoring.backtest.run import BacktestOptions, backtest
from scoring.backtest.source import source_of
from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import default_catalogue
from scoring.core.features.rates_file import shipped_rates
from scoring.core.policy.policy import load_policy
from scoring.replay.slices import PaymentClass

CATALOGUE = default_catalogue().converting_by(shipped_rates())
OPTIONS = BacktestOptions(days=50, label_delay_days=20, memory_mb=512)
SKIPPED = {"outside", "other definitions"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ledger")
    ledger_archive(directory, CATALOGUE)
    return directory


@pytest.fixture(scope="module")
def found(archive):
    old, new = (
        load_policy(text, catalogue=CATALOGUE, name="policy.yaml")
        for text in (OLD_POLICY, NEW_POLICY)
    )
    return backtest(source_of(archive, CATALOGUE), new, old, options=OPTIONS)


def by_hand(*names):
    """Count and amounts of the ledger's own columns."""
    counts, amounts = Counter(), defaultdict(Counter)
    for row in ledger():
        if row["truth"] not in SKIPPED:
            key = tuple(row[name] for name in names)
            counts[key] += 1
            amounts[key][row["currency"]] += int(row["amount_minor"])
    return counts, amounts


@pytest.mark.parametrize("side", ["old", "new"])
def test_every_class_of_the_ledger_is_exact_in_count_and_amount(found, side):
    counts, amounts = by_hand(side, "truth")
    figures = getattr(found, side)
    seen = {
        (outcome.name.lower(), truth.value): tally
        for outcome, part in figures.outcomes.items()
        for truth, tally in part.tallies.items()
    }
    assert {key: tally.count for key, tally in seen.items()} == dict(counts)
    assert {key: tally.amounts for key, tally in seen.items()} == {
        key: dict(own) for key, own in amounts.items()
    }
    assert {truth for _, truth in seen} == {truth.value for truth in PaymentClass}


def test_what_was_left_out_is_counted_with_its_cause(found):
    rows = [row for row in ledger() if row["truth"] != "outside"]
    others = sum(row["truth"] == "other definitions" for row in rows)
    twice = sum(int(row["copies"]) - 1 for row in rows)
    assert found.skipped == {
        "other definitions": others,
        "recorded more than once": twice,
    }
    assert found.eligible == len(rows) - others


def test_flips_are_those_of_the_ledger_each_with_payments_to_open(found):
    counts, _ = by_hand("old", "new")
    flips = {f"{a} → {b}": n for (a, b), n in counts.items() if a != b}
    assert {flip: p.count for flip, p in found.flips.outcomes.items()} == flips
    flipped = {
        row["id"]: f"{row['old']} → {row['new']}"
        for row in ledger()
        if row["old"] != row["new"]
    }
    for flip, payments in found.samples.items():
        assert payments
        assert {flipped[id_] for _, id_ in payments} == {flip}
    assert all(rule in {"many", "abroad"} for rule, _, _ in found.flips.rules)


def test_a_rule_alone_is_what_no_other_rule_nor_the_score_would_have_done(found):
    lines = {line.rule: line for line in found.rules}
    assert list(lines) == ["lists.trusted", "many", "abroad"]
    many = lines["many"]
    eligible = [row for row in ledger() if row["truth"] not in SKIPPED]
    hits = [r for r in eligible if r["card_count_1h"] and int(r["card_count_1h"]) > 5]
    assert many.hits.count == len(hits)
    assert many.unknown == sum(not row["card_count_1h"] for row in eligible)
    by_score = {r["id"] for r in hits if r["score"] and _declines(r)}
    trusted = {r["id"] for r in hits if r["customer"] == "vip"}
    assert many.alone.count == len(hits) - len(by_score | trusted)
    assert many.owner == "strategy"
    assert many.overlaps["abroad"] == lines["abroad"].overlaps["many"] > 0


def _declines(row):
    return float(row["score"]) >= (0.3 if row["channel"] == "ATM" else 0.5)


def test_declined_then_is_no_success_and_young_payments_have_no_label(found):
    classes = found.new.classes
    counts, _ = by_hand("truth")
    assert classes["declined_by_us"].count == counts["declined_by_us",]
    assert classes["not_yet_labelled"].count == counts["not_yet_labelled",]
    assert found.unlabelled_share == counts["not_yet_labelled",] / found.eligible
    caught = classes["fraud_caught"].count + classes["fraud_missed"].count
    assert caught == counts["fraud",]


def test_the_result_is_stable_json_with_both_hashes(archive, found):
    policies = [
        load_policy(text, catalogue=CATALOGUE, name="policy.yaml")
        for text in (OLD_POLICY, NEW_POLICY)
    ]
    text = json.dumps(plain(found))
    assert [plain(found)[side]["version"] for side in ("old", "new")] == [
        policy.version for policy in policies
    ]
    again = backtest(
        source_of(archive, CATALOGUE), policies[1], policies[0], options=OPTIONS
    )
    assert json.dumps(plain(again)) == text


def test_a_version_against_itself_flips_nothing_and_declines_no_more(archive):
    policy = load_policy(OLD_POLICY, catalogue=CATALOGUE, name="policy.yaml")
    source = source_of(archive, CATALOGUE)
    same = backtest(source, policy, policy, options=OPTIONS)
    assert same.flips.count == 0
    assert same.accepted_then_declined == (0.0, 0.0)
    assert same.old.classes == same.new.classes


def test_without_a_given_delay_it_is_what_the_frauds_labels_took(archive):
    policy = load_policy(OLD_POLICY, catalogue=CATALOGUE, name="policy.yaml")
    source = source_of(archive, CATALOGUE)
    same = backtest(source, policy, policy, options=BacktestOptions(days=50))
    assert same.span.delay_ms == 19 * 86_400_000


def test_the_page_names_every_class_and_how_much_more_is_declined(found):
    sheets = {sheet.title: sheet for sheet in backtest_sheets(found)}
    assert "declined by us then: no label, nothing saved" in {
        row[0] for row in sheets["By class"].rows
    }
    assert any("declined of what" in line for line in remarks(found))
    declines = found.new.outcomes[Outcome.DECLINE].count
    assert found.accepted_then_declined[0] > 0
    assert declines > found.old.outcomes[Outcome.DECLINE].count


def test_levels_are_chosen_by_kept_figures_as_by_the_ones_just_found(found):
    loss = {"share": 1.0, "fixed_minor": 100.0}
    costs = {
        "missed_fraud": loss,
        "refused_customer": loss,
        "challenge": {"genuine_abandons": 0.1, "fraud_passes": 0.1},
        "review": {"fixed_minor": 300.0, "fraud_found": 0.9},
    }
    asked = CostFile.model_validate({"version": 1, "costs": costs})
    kept = json.loads(json.dumps(plain(found)))
    chosen = levels_by_cost(kept, NEW_POLICY, {"costs": costs})
    for one, known in zip(chosen.segments, cheapest(found.curves, asked), strict=True):
        assert one.costs == pytest.approx(known.costs)
        assert (one.segment, one.now, one.chosen, one.kept, one.frauds) == (
            *(known.segment, known.now, known.chosen, known.kept),
            known.frauds,
        )
