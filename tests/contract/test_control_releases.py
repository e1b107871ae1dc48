"""What the data plane is given to run, and what a rollback returns to."""

import pytest
from control_parts import (
    ANN,
    BOB,
    CAT,
    DAN,
    EVE,
    ControlBench,
    text,
)

from scoring.control.domain.approvals import Act, ProposalStage
from scoring.control.domain.people import By
from scoring.control.domain.policy_life import PolicyState
from scoring.errors import (
    ChangedMeanwhile,
    Denied,
    InvalidTransaction,
    NotFound,
    NotPossible,
    ReasonRequired,
)
from scoring.wire.control_json import release_from_json, text_from_json


@pytest.fixture
def bench(control_database):
    return ControlBench(control_database)


@pytest.fixture
def desk(bench):
    return bench.desk


# What runs ------------------------------------------------------------------------


def test_a_release_reaches_the_outbox_with_its_text_before_it(bench):
    released = bench.released(1)
    told, last = bench.outbox()[-2:]
    assert told.key == f"policy/{released.policy.version}"
    assert text_from_json(told.value).text == text(1)
    assert last.key == "policy"
    assert release_from_json(last.value) == released.release
    assert told.sequence < last.sequence


def test_each_release_carries_the_hash_of_its_audit_entry(bench):
    release = bench.released(1).release
    assert release.audit == bench.audit()[-1].hash


def test_a_text_is_published_once_however_often_it_is_released(bench, desk):
    bench.released(1)
    bench.released(2)
    desk.rollback(By(BOB, "too strict"))
    keys = [record.key for record in bench.outbox()]
    assert len([key for key in keys if key.startswith("policy/")]) == 2


def test_a_release_retires_the_policy_and_ends_its_candidate(bench, desk):
    first = bench.released(0).policy
    arm = bench.approved(1, Act.CANDIDATE, 0.1).policy
    desk.candidate(By(BOB), arm.number, 0.1)
    second = bench.released(2)
    assert bench.state(first.number) is PolicyState.RETIRED
    assert bench.state(arm.number) is PolicyState.APPROVED
    assert second.release.candidate is None


def test_a_smaller_share_needs_no_second_person_a_larger_does(bench, desk):
    bench.released(0)
    number = bench.approved(1, Act.CANDIDATE, 0.2).policy.number
    desk.candidate(By(ANN), number, 0.2)
    assert desk.candidate(By(ANN), number, 0.1).release.candidate.share == 0.1
    with pytest.raises(NotPossible, match="no approval"):
        desk.candidate(By(ANN), number, 0.2)
    with pytest.raises(InvalidTransaction, match="share"):
        desk.candidate(By(ANN), number, 0.0)


def test_approval_and_release_at_once_are_one_transaction(bench, desk):
    answer = bench.proposed(1)
    done = desk.approve(
        By(BOB, "as agreed"),
        answer.proposal.number,
        answer.policy.version,
        at_once=True,
    )
    assert (done.policy.state, done.release.release) == (PolicyState.LIVE, 1)
    assert done.proposal.stage is ProposalStage.USED


def test_two_that_mean_the_same_never_run_side_by_side(bench, desk):
    bench.released(1)
    same = desk.draft(By(CAT), text(1) + "# a remark\n").policy
    proposal = desk.propose(By(CAT), same.number, Act.SHADOW).proposal
    with pytest.raises(NotPossible, match="mean the same"):
        desk.approve(By(BOB, "x"), proposal.number, same.version, at_once=True)
    with desk.read(EVE) as work:
        assert work.policies.proposal(proposal.number).stage is ProposalStage.OPEN


def test_two_who_release_at_once_the_second_learns_of_the_first(bench, desk):
    bench.released(0)
    one, other = bench.approved(1).policy, bench.approved(2).policy
    desk.release(By(BOB, "mine"), one.number, read=1)
    with pytest.raises(ChangedMeanwhile) as raised:
        desk.release(By(DAN, "no, mine"), other.number, read=1)
    assert raised.value.changes == ("release 2 is by bob: mine",)


def test_a_breaker_is_rearmed_by_a_release_with_a_reason(bench, desk):
    bench.released(1)
    with pytest.raises(ReasonRequired):
        desk.rearm(By(BOB), "*")
    release = desk.rearm(By(BOB, "the load test is over"), "*").release
    assert release.rearmed == {"*": bench.clock.now_ms}
    # What tripped in a version of this hash stays armed where one returns to it.
    assert bench.released(2).release.rearmed == release.rearmed
    again = desk.rollback(By(BOB, "too strict")).release
    assert (again.policy, again.rearmed) == (release.policy, release.rearmed)


def test_a_rule_that_no_breaker_watches_is_not_rearmed(bench, desk):
    before = bench.released(1).release.release
    with pytest.raises(InvalidTransaction, match=r"breakers of: \*"):
        desk.rearm(By(BOB, "a slip of the pen"), "card_velocty")
    with desk.read(EVE) as work:
        assert work.policies.in_force().number == before


def test_the_version_in_force_is_not_retired_what_never_ran_is(bench, desk):
    live = bench.released(0).policy.number
    with pytest.raises(NotPossible, match="release another, or roll back"):
        desk.retire(By(DAN, "x"), live)
    waiting = bench.approved(1).policy.number
    assert desk.retire(By(DAN, "x"), waiting).policy.state is PolicyState.RETIRED
    with pytest.raises(NotPossible):
        desk.release(By(BOB), waiting)
    with pytest.raises(NotFound):
        desk.retire(By(DAN, "x"), 999)


# Rollback -------------------------------------------------------------------------


def test_a_rollback_to_the_version_before_is_a_new_version_without_a_second_person(
    bench, desk
):
    first = bench.released(1).policy
    bench.released(2)
    back = desk.rollback(By(ANN, "declined too much"))
    assert back.policy.number > first.number
    assert back.policy.checked.text == first.checked.text
    assert (back.policy.state, back.policy.why) == (
        PolicyState.LIVE,
        "declined too much",
    )
    assert back.release.policy == first.version
    with pytest.raises(ReasonRequired):
        desk.rollback(By(ANN))


def test_a_rollback_is_not_stopped_by_a_shadow_that_means_the_same(bench, desk):
    first = bench.released(1).policy
    bench.released(2)
    same = bench.approved(1, Act.SHADOW).policy
    desk.shadow(By(BOB), same.number)
    back = desk.rollback(By(ANN, "declined too much")).release
    assert (back.policy, back.shadow) == (first.version, ())


def test_rolling_back_twice_goes_back_twice_and_never_forth_to_what_was_left(
    bench, desk
):
    first, second = bench.released(1).policy, bench.released(2).policy
    bench.released(3)
    assert desk.rollback(By(ANN, "x")).release.policy == second.version
    assert desk.rollback(By(ANN, "y")).release.policy == first.version
    with pytest.raises(NotPossible, match="nothing was in force before"):
        desk.rollback(By(ANN, "z"))


def test_a_rollback_further_back_is_proposed_to_a_second_person(bench, desk):
    first = bench.released(1).policy
    bench.released(2)
    third = bench.released(3).policy
    answer = desk.rollback(By(CAT, "as in spring"), to=first.number)
    assert answer.policy.state is PolicyState.PROPOSED
    assert bench.state(third.number) is PolicyState.LIVE
    for who in (CAT, ANN):
        with pytest.raises(Denied):
            desk.approve(By(who, "x"), answer.proposal.number, first.version)
    done = desk.approve(
        By(BOB, "agreed"), answer.proposal.number, first.version, at_once=True
    )
    assert done.release.policy == first.version


def test_what_was_never_in_force_is_nothing_to_return_to(bench, desk):
    bench.released(0)
    draft = desk.draft(By(ANN), text(1)).policy
    with pytest.raises(NotPossible, match="never in force"):
        desk.rollback(By(ANN, "x"), to=draft.number)
