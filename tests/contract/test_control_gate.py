"""The gate before an approval, on SQLite and on PostgreSQL: what opens it."""

import json
from dataclasses import replace

import pytest
from control_parts import (
    ANN,
    BOB,
    EVE,
    FAY,
    ControlBench,
    backtest,
    settled,
    text,
)

from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.people import By
from scoring.control.domain.policy_life import PolicyState
from scoring.errors import ReasonRequired


@pytest.fixture
def bench(control_database):
    return ControlBench(control_database)


@pytest.fixture
def desk(bench):
    return bench.desk


def test_without_a_backtest_of_this_hash_an_approval_needs_a_written_reason(
    bench, desk
):
    in_force = bench.released(0).policy.version
    answer = bench.proposed(1)
    with pytest.raises(ReasonRequired, match="no backtest of"):
        desk.approve(By(BOB), answer.proposal.number, answer.policy.version)
    bench.ran(backtest(answer.policy.version, in_force))
    proposal = desk.propose(By(ANN), answer.policy.number).proposal
    done = desk.approve(By(BOB), proposal.number, proposal.version)
    assert done.policy.state is PolicyState.APPROVED


@pytest.mark.parametrize(
    ("points", "amount_points", "asked"),
    [(0.5, 0.5, ""), (0.501, 0.0, "by count"), (0.0, 0.6, "by amount")],
)
def test_declining_more_than_the_gate_allows_needs_a_written_reason(
    bench, desk, points, amount_points, asked
):
    in_force = bench.released(0).policy.version
    policy = desk.draft(By(ANN), text(1)).policy
    figures = backtest(
        policy.version, in_force, points=points, amount_points=amount_points
    )
    bench.ran(figures)
    answer = desk.propose(By(ANN), policy.number)
    proposal = answer.proposal
    assert bool(answer.gate) == bool(asked)
    if asked:
        with pytest.raises(ReasonRequired, match=asked):
            desk.approve(By(BOB), proposal.number, policy.version)
        assert asked in desk.gate(EVE, proposal.number)[0]
    assert desk.gate(EVE, proposal.number) == answer.gate
    why = "fraud of last week" if asked else ""
    desk.approve(By(BOB, why), proposal.number, policy.version)
    with desk.read(EVE) as work:
        assert work.policies.proposal(proposal.number).reason == why


def test_a_backtest_of_no_accepted_payment_opens_no_gate(bench, desk):
    in_force = bench.released(0).policy.version
    policy = desk.draft(By(ANN), text(1)).policy
    empty = replace(
        backtest(policy.version, in_force), accepted_count=0, accepted_amount_minor=0
    )
    desk.keep_backtest(By(ANN), empty)
    proposal = desk.propose(By(ANN), policy.number).proposal
    with pytest.raises(ReasonRequired, match="saw no payment"):
        desk.approve(By(BOB), proposal.number, policy.version)


@pytest.mark.parametrize(
    ("days", "payments", "asked"),
    [
        (27, 600, "is of 27 whole days, fewer than the 28"),
        (0, 600, "is of 0 whole days"),
        (28, 599, "saw 599 payments"),
    ],
)
def test_a_backtest_of_few_days_or_payments_opens_no_gate(
    bench, desk, days, payments, asked
):
    in_force = bench.released(0).policy.version
    policy = desk.draft(By(ANN), text(1)).policy
    figures = backtest(policy.version, in_force, days=days)
    bench.ran(replace(figures, accepted_count=payments))
    proposal = desk.propose(By(ANN), policy.number).proposal
    with pytest.raises(ReasonRequired, match=asked):
        desk.approve(By(BOB), proposal.number, policy.version)


def test_an_installation_sets_how_few_days_and_payments_are_enough(control_database):
    rules = ControlRules(gate_days=1, gate_payments=1)
    bench = ControlBench(control_database, rules)
    policy = bench.desk.draft(By(ANN), text(1)).policy
    bench.ran(replace(backtest(policy.version, settled(), days=1), accepted_count=1))
    proposal = bench.desk.propose(By(ANN), policy.number).proposal
    bench.desk.approve(By(BOB), proposal.number, policy.version)


def test_a_short_backtest_does_not_hide_the_bad_figures_of_a_long_one(bench, desk):
    in_force = bench.released(0).policy.version
    policy = desk.draft(By(ANN), text(1)).policy
    long = bench.ran(backtest(policy.version, in_force, points=40.0, days=90))
    bench.ran(backtest(policy.version, in_force, days=28))
    proposal = desk.propose(By(ANN), policy.number).proposal
    assert proposal.backtest == long.number
    with pytest.raises(ReasonRequired, match="would decline 40"):
        desk.approve(By(BOB), proposal.number, policy.version)


def test_before_the_first_release_the_settings_version_is_what_counts(bench, desk):
    policy = desk.draft(By(ANN), text(1)).policy
    for against, asked in (
        (policy.version, f"compares {policy.version} with itself"),
        ("b" * 16, f"compares with {'b' * 16}; {settled()} is in force"),
    ):
        bench.ran(backtest(policy.version, against))
        proposal = desk.propose(By(ANN), policy.number).proposal
        with pytest.raises(ReasonRequired, match=asked):
            desk.approve(By(BOB), proposal.number, policy.version)
    right = bench.ran(backtest(policy.version, settled()))
    proposal = desk.propose(By(ANN), policy.number).proposal
    assert proposal.backtest == right.number
    desk.approve(By(BOB), proposal.number, policy.version)


def test_a_version_against_itself_opens_no_gate_though_it_is_in_force(bench, desk):
    in_force = bench.released(0).policy
    bench.ran(backtest(in_force.version, in_force.version))
    again = desk.draft(By(ANN), in_force.checked.text).policy
    proposal = desk.propose(By(ANN), again.number).proposal
    with pytest.raises(ReasonRequired, match="with itself"):
        desk.approve(By(BOB), proposal.number, again.version)


@pytest.mark.parametrize("carried", ["brought", "of one tenant", "against another"])
def test_a_better_backtest_run_since_the_proposal_is_the_one_that_counts(
    bench, desk, carried
):
    in_force = bench.released(0).policy.version
    policy = desk.draft(By(ANN), text(1)).policy
    figures = backtest(policy.version, in_force)
    if carried == "brought":
        desk.keep_backtest(By(ANN), figures)
    elif carried == "of one tenant":
        span = {**figures.figures["span"], "tenant": "shop"}
        bench.ran(replace(figures, figures={"span": span}))
    else:
        bench.ran(figures)
    proposal = desk.propose(By(ANN), policy.number).proposal
    if carried == "against another":
        in_force = bench.released(2).policy.version
    assert desk.gate(EVE, proposal.number) != ()
    newer = bench.ran(backtest(policy.version, in_force))
    assert desk.gate(EVE, proposal.number) == ()
    desk.approve(By(BOB), proposal.number, policy.version)
    written = json.loads(bench.audit()[-1].after)
    assert (written["backtest"], written["gate"]) == (newer.number, [])


def test_the_audit_holds_what_a_backtest_said(bench, desk):
    desk.keep_backtest(By(FAY), backtest("a" * 16, "b" * 16, points=0.4))
    (entry,) = bench.audit()
    written = json.loads(entry.after)
    assert (written["accepted_count"], written["declined_count"]) == (100_000, 400)
    assert len(written["figures_sha256"]) == 64


def test_a_backtest_against_what_is_no_longer_in_force_opens_no_gate(bench, desk):
    in_force = bench.released(0).policy.version
    policy = desk.draft(By(ANN), text(1)).policy
    desk.keep_backtest(By(ANN), backtest(policy.version, in_force))
    proposal = desk.propose(By(ANN), policy.number).proposal
    bench.released(2)
    with pytest.raises(ReasonRequired, match="the backtest compares with"):
        desk.approve(By(BOB), proposal.number, policy.version)
