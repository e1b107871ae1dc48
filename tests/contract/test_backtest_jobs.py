"""Backtests that the control plane runs, in both databases: a queue with one runner."""

import json
from dataclasses import replace

import pytest
from control_parts import ANN, BOB, EVE, FAY, TEXTS, ControlBench, backtest, text

from scoring.control.desks.backtest_desk import BacktestDesk, BacktestWish
from scoring.control.domain.backtest_jobs import (
    WAITING_MAX,
    BacktestScope,
    JobState,
)
from scoring.control.domain.people import By
from scoring.core.release.policy_release import PolicyText
from scoring.errors import (
    BadArtifact,
    Denied,
    InvalidTransaction,
    NotFound,
    NotPossible,
    ReasonRequired,
)

RULE = """
id: large
when: transaction.amount_minor > 100000
then: review
reason_code: CARD_BLOCKED
"""


@pytest.fixture
def bench(control_database):
    return ControlBench(control_database)


@pytest.fixture
def desk(bench):
    return desk_of(bench)


def desk_of(bench, *, archived=True):
    settled = PolicyText("", text(600), None)
    return BacktestDesk(
        bench.database, TEXTS, bench.clock, settled=lambda: settled, archived=archived
    )


def asked(desk, n=1, **more):
    return desk.ask(By(FAY), BacktestWish(text=text(n), **more))


def found(job):
    return backtest(job.new.version, job.old.version)


def test_it_waits_runs_and_ends_with_the_figures_of_its_exact_hash(desk):
    told = asked(desk, scope=BacktestScope(days=30, tenant="shop"))
    assert (told.job.state, told.ahead) == (JobState.QUEUED, 0)
    job = desk.begin("copy 1")
    assert job.number == told.number
    assert job.scope == BacktestScope(days=30, tenant="shop")
    assert desk.moved(job, "judging", 0.25)
    assert desk.told(EVE, job.number).job.done == 0.25
    assert desk.finished(job, found(job))
    done = desk.told(EVE, job.number)
    assert (done.job.state, done.job.done) == (JobState.DONE, 1.0)
    assert done.figures.version == TEXTS.checked(text(1)).version
    assert done.figures.told == "the control plane"
    assert done.figures.by == "fay"


def test_of_several_the_oldest_runs_first_and_each_knows_how_many_are_before_it(desk):
    first, second, third = (asked(desk, n) for n in (1, 2, 3))
    assert [t.ahead for t in (first, second, third)] == [0, 1, 2]
    assert desk.begin("copy 1").number == first.number
    assert desk.told(EVE, third.number).ahead == 2
    assert desk.told(EVE, second.number).ahead == 1


def test_what_another_copy_left_running_is_interrupted_and_never_runs_for_ever(desk):
    asked(desk)
    job = desk.begin("copy 1")
    assert desk.begin("copy 2") is None
    ended = desk.told(EVE, job.number).job
    assert ended.state is JobState.FAILED
    assert ended.failed.startswith("interrupted:")
    assert not desk.moved(job, "judging", 0.5)
    assert not desk.finished(job, found(job)), "the copy that lost it keeps nothing"
    assert desk.told(EVE, job.number).figures is None


def test_a_running_one_that_is_cancelled_keeps_no_figures(desk):
    asked(desk)
    job = desk.begin("copy 1")
    desk.cancel(By(ANN), job.number)
    assert not desk.moved(job, "judging", 0.5)
    assert not desk.finished(job, found(job))
    desk.failed(job, "killed")
    assert desk.told(EVE, job.number).job.state is JobState.CANCELLED
    with pytest.raises(NotPossible, match="is cancelled already"):
        desk.cancel(By(ANN), job.number)


def test_a_waiting_one_that_is_cancelled_is_never_begun(desk):
    told = asked(desk)
    desk.cancel(By(FAY), told.number)
    assert not desk.waits()
    assert desk.begin("copy 1") is None


def test_a_draft_is_judged_as_it_was_when_it_was_asked_for(bench, desk):
    drafted = bench.desk.draft(By(ANN), text(1)).policy
    desk.ask(By(FAY), BacktestWish(policy=drafted.number))
    bench.desk.edit(By(ANN), drafted.number, text(2), revision=drafted.revision)
    assert desk.begin("copy 1").new.text == text(1)


def test_the_old_version_is_in_force_and_before_the_first_release_the_settings(
    bench, desk
):
    assert asked(desk).job.old.text == text(600)
    in_force = bench.released(5).policy
    assert asked(desk).job.old.policy == in_force.number
    other = bench.desk.draft(By(ANN), text(7)).policy
    assert asked(desk, against=other.number).job.old.version == other.version


def test_a_rule_is_added_to_the_old_version_and_a_bad_one_has_its_line(desk):
    job = desk.ask(By(FAY), BacktestWish(rule=RULE)).job
    assert job.new.version != job.old.version
    assert job.new.rule == RULE
    with pytest.raises(BadArtifact, match=r"rule:2: rules\.0 \(large\)\.when: 'amont'"):
        desk.ask(By(FAY), BacktestWish(rule=RULE.replace("amount_minor", "amont")))


def test_only_so_many_wait_and_the_next_is_told(desk):
    for _ in range(WAITING_MAX):
        asked(desk)
    with pytest.raises(NotPossible, match="20 backtests wait already; cancel one"):
        asked(desk)


def test_who_may_not_or_asks_for_nothing_leaves_no_trace(bench, desk):
    before = len(bench.audit())
    refusals = [
        (Denied, EVE, BacktestWish(text=text(1))),
        (InvalidTransaction, FAY, BacktestWish()),
        (InvalidTransaction, FAY, BacktestWish(text=text(1), policy=1)),
        (NotFound, FAY, BacktestWish(policy=77)),
        (BadArtifact, FAY, BacktestWish(text="version: 1")),
    ]
    for error, person, wish in refusals:
        with pytest.raises(error):
            desk.ask(By(person), wish)
    with pytest.raises(NotPossible, match="set SCORING_ARCHIVE_DIR"):
        desk_of(bench, archived=False).ask(By(FAY), BacktestWish(text=text(1)))
    assert len(bench.audit()) == before
    assert not desk.waits()


def ran(desk, policy, **more):
    desk.ask(By(FAY), BacktestWish(policy=policy.number))
    job = desk.begin("copy 1")
    assert desk.finished(job, replace(found(job), **more))
    return job.number


def test_a_gate_opens_by_what_was_run_here_and_not_by_what_was_brought(bench, desk):
    in_force = bench.released(1).policy.version
    policy = bench.desk.draft(By(ANN), text(2)).policy
    brought = bench.desk.keep_backtest(By(ANN), backtest(policy.version, in_force))
    proposal = bench.desk.propose(By(ANN), policy.number).proposal
    assert proposal.backtest == brought.number
    because = "brought by ann, not run by the control plane"
    assert because in bench.desk.gate(EVE, proposal.number)[0]
    with pytest.raises(ReasonRequired, match=because):
        bench.desk.approve(By(BOB), proposal.number, policy.version)
    assert desk.told(EVE, brought.number).figures.told == "brought by ann"

    number = ran(desk, policy)
    again = bench.desk.propose(By(ANN), policy.number).proposal
    assert again.backtest == number
    assert bench.desk.gate(EVE, again.number) == ()


def test_one_of_a_single_tenant_opens_no_gate(bench, desk):
    bench.released(1)
    policy = bench.desk.draft(By(ANN), text(2)).policy
    span = {"tenant": "shop", "from_ms": 0, "until_ms": 90 * 86_400_000}
    ran(desk, policy, figures={"span": span})
    proposal = bench.desk.propose(By(ANN), policy.number).proposal
    assert bench.desk.gate(EVE, proposal.number) == (
        "the backtest is of tenant shop alone",
    )


def test_one_that_was_run_after_the_proposal_counts_where_it_carried_none(bench, desk):
    bench.released(1)
    proposal = bench.proposed(2).proposal
    assert "no backtest" in bench.desk.gate(EVE, proposal.number)[0]
    with bench.desk.read(EVE) as work:
        policy = work.policies.policy(proposal.policy)
    ran(desk, policy)
    assert bench.desk.gate(EVE, proposal.number) == ()


def test_the_audit_says_who_asked_who_worked_it_out_and_its_hash(bench, desk):
    asked(desk)
    job = desk.begin("copy 1")
    desk.finished(job, found(job))
    actions = {entry.action: entry for entry in bench.audit()}
    assert {"backtest.ask", "policy.backtest"} <= set(actions)
    kept = actions["policy.backtest"]
    assert kept.person == "fay"
    written = json.loads(kept.after)
    assert written["computed_by"] == "the control plane"
    assert len(written["figures_sha256"]) == 64


def test_a_report_judges_the_old_version_itself_and_is_listed_apart(desk):
    report = desk.ask(By(FAY), BacktestWish(report=True)).job
    assert report.is_report
    assert report.new == report.old
    other = asked(desk).job
    assert not other.is_report

    def numbers(reports):
        told = desk.listed(EVE, version="", below=None, count_max=9, reports=reports)
        return [each.number for each in told]

    assert numbers(reports=True) == [report.number]
    assert numbers(reports=False) == [other.number]
    assert numbers(reports=None) == [other.number, report.number]
    with pytest.raises(
        InvalidTransaction, match="one of policy, text, rule and report"
    ):
        asked(desk, report=True)
