"""A policy's life at the desk, on SQLite and on PostgreSQL."""

import json

import pytest
from control_parts import (
    ANN,
    BOB,
    CAT,
    DAN,
    EVE,
    FAY,
    TEXTS,
    ControlBench,
    backtest,
    person,
    text,
)

from scoring.control.database.unit_of_work import writing
from scoring.control.desks.policy_texts import PolicyTexts, mistakes
from scoring.control.domain.approvals import Act
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.people import By
from scoring.control.domain.policy_life import PolicyState
from scoring.core.features.catalogue import default_catalogue
from scoring.errors import (
    BadArtifact,
    ChangedMeanwhile,
    Denied,
    NotPossible,
    ReasonRequired,
)


@pytest.fixture
def bench(control_database):
    return ControlBench(control_database)


@pytest.fixture
def desk(bench):
    return bench.desk


# Texts ----------------------------------------------------------------------------


def test_who_compiles_while_others_wait_to_write_is_found(control_database):
    with pytest.raises(AssertionError, match="slow work"), writing(control_database):
        TEXTS.checked(text(1))


def test_a_draft_that_is_edited_while_it_is_compiled_is_not_proposed(bench):
    number = bench.desk.draft(By(ANN), text(1)).policy.number

    class EditedMeanwhile(PolicyTexts):
        def checked(self, content, reasons=None):
            bench.texts = TEXTS
            bench.desk.edit(By(CAT), number, text(2), revision=1)
            return TEXTS.checked(content, reasons)

    bench.texts = EditedMeanwhile(default_catalogue())
    with pytest.raises(ChangedMeanwhile):
        bench.desk.propose(By(ANN), number)
    assert bench.state(number) is PolicyState.DRAFT


def test_a_text_with_mistakes_is_refused_whole_with_the_line_of_each(bench, desk):
    bad = (
        text(1).replace("decline: 0.301", "decline: 2").replace("field: card", "of: 1")
    )
    with pytest.raises(BadArtifact) as raised:
        desk.draft(By(ANN), bad)
    found = {(each.line, each.field) for each in mistakes(raised.value)}
    assert (4, "thresholds.default.decline") in found
    assert any(field.startswith("lists.blocked") for _, field in found)
    assert bench.audit() == []


def test_two_writers_the_second_learns_what_the_first_changed(desk):
    policy = desk.draft(By(ANN), text(1)).policy
    desk.edit(By(DAN), policy.number, text(2), revision=1)
    with pytest.raises(ChangedMeanwhile) as raised:
        desk.edit(By(ANN), policy.number, text(3), revision=1)
    assert raised.value.changes[0] == "revision 2 is by dan"
    assert any("0.302" in line for line in raised.value.changes if line[0] == "+")


@pytest.mark.parametrize("act", [Act.RELEASE, Act.SHADOW])
def test_what_is_proposed_never_changes_an_edit_makes_a_draft(desk, act, bench):
    policy = bench.proposed(1, act).policy
    again = desk.edit(By(CAT), policy.number, text(2), revision=1).policy
    assert (again.state, again.based_on) == (PolicyState.DRAFT, policy.number)
    with desk.read(EVE) as work:
        assert work.policies.policy(policy.number).checked.text == text(1)


def test_an_editor_learns_what_was_changed_before_it_was_proposed(desk):
    policy = desk.draft(By(ANN), text(1)).policy
    desk.edit(By(DAN), policy.number, text(2), revision=1)
    desk.propose(By(DAN), policy.number)
    with pytest.raises(ChangedMeanwhile, match="is at revision 2, you read 1") as told:
        desk.edit(By(ANN), policy.number, text(3), revision=1)
    assert told.value.changes[0] == "revision 2 is by dan"


def test_editing_the_version_in_force_makes_a_draft_of_its_editor_alone(bench, desk):
    policy = bench.released(1).policy
    again = desk.edit(By(CAT), policy.number, text(2), revision=1).policy
    assert again.authors == {"cat"}
    assert bench.state(policy.number) is PolicyState.LIVE


# Four eyes ------------------------------------------------------------------------


def test_nobody_approves_what_they_wrote_admins_neither(desk):
    policy = desk.draft(By(DAN), text(1)).policy
    proposal = desk.propose(By(ANN), policy.number).proposal
    with pytest.raises(Denied, match="another person"):
        desk.approve(By(DAN, "fine"), proposal.number, policy.version)


def test_nobody_approves_what_they_wrote_by_another_spelling_of_their_name(desk):
    policy = desk.draft(By(person("Ann", "author")), text(1)).policy
    proposal = desk.propose(By(ANN), policy.number).proposal
    with pytest.raises(Denied, match="another person"):
        desk.approve(
            By(person("ANN", "approver"), "fine"), proposal.number, policy.version
        )


def test_nobody_approves_what_they_edited_once_even_where_it_was_edited_since(desk):
    policy = desk.draft(By(ANN), text(1)).policy
    desk.edit(By(CAT), policy.number, text(2), revision=1)
    desk.edit(By(ANN), policy.number, text(1), revision=2)
    proposal = desk.propose(By(ANN), policy.number).proposal
    with pytest.raises(Denied, match="another person"):
        desk.approve(By(CAT, "fine"), proposal.number, policy.version)


def test_nobody_approves_what_another_copied_from_their_draft(desk):
    draft = desk.draft(By(CAT), text(1)).policy
    copy = desk.draft(By(ANN), text(2), based_on=draft.number).policy
    same = desk.draft(By(ANN), text(1)).policy
    for policy in (copy, same):
        proposal = desk.propose(By(ANN), policy.number).proposal
        with pytest.raises(Denied, match="another person"):
            desk.approve(By(CAT, "fine"), proposal.number, policy.version)


def test_an_approval_is_of_one_hash(bench, desk):
    first, other = bench.proposed(1), bench.proposed(2)
    with pytest.raises(ChangedMeanwhile):
        desk.approve(By(BOB, "x"), first.proposal.number, other.policy.version)
    desk.approve(By(BOB, "x"), first.proposal.number, first.policy.version)
    with pytest.raises(NotPossible, match="waits for its approval"):
        desk.release(By(BOB), other.policy.number)


def test_an_approval_is_for_one_act(bench, desk):
    bench.released(0)
    shadow = bench.approved(1, Act.SHADOW).policy
    with pytest.raises(NotPossible, match="propose it for that"):
        desk.release(By(BOB), shadow.number)
    arm = bench.approved(2, Act.CANDIDATE, 0.05).policy
    with pytest.raises(NotPossible, match="propose it for that"):
        desk.candidate(By(BOB), arm.number, 0.5)
    assert desk.candidate(By(BOB), arm.number, 0.05).release.candidate.share == 0.05


def test_an_approval_is_used_once(bench, desk):
    bench.released(0)
    policy = bench.approved(1, Act.SHADOW).policy
    desk.shadow(By(BOB), policy.number)
    desk.retire(By(BOB, "seen enough"), policy.number)
    with pytest.raises(NotPossible, match="is used: propose it again"):
        desk.shadow(By(BOB), policy.number)


def test_an_approval_ends_with_the_time_in_force_of_its_version(bench, desk):
    number = bench.released(1).policy.number
    again = desk.propose(By(ANN), number).proposal
    desk.approve(By(BOB, "once more"), again.number, again.version)
    bench.released(2)
    with pytest.raises(NotPossible, match="is void"):
        desk.release(By(BOB), number)


def test_an_approval_lapses(bench, desk):
    number = bench.approved(1).policy.number
    bench.clock.days(7)
    with pytest.raises(NotPossible, match="the approval of bob has lapsed"):
        desk.release(By(BOB), number)
    proposal = desk.propose(By(ANN), number).proposal
    desk.approve(By(BOB, "again"), proposal.number, proposal.version)
    assert desk.release(By(BOB), number).policy.state is PolicyState.LIVE


def test_a_rejected_version_ends_and_its_author_may_withdraw(bench, desk):
    for who in (BOB, ANN):
        answer = bench.proposed(1)
        with pytest.raises(ReasonRequired):
            desk.reject(By(who, " "), answer.proposal.number)
        refused = desk.reject(By(who, "too strict"), answer.proposal.number)
        assert refused.policy.state is PolicyState.REJECTED
        with pytest.raises(NotPossible, match="is rejected"):
            desk.propose(By(ANN), answer.policy.number)
        with pytest.raises(NotPossible, match="is rejected already"):
            desk.approve(By(BOB, "x"), answer.proposal.number, refused.policy.version)


def test_single_user_mode_lets_one_approve_and_every_answer_says_so(control_database):
    desk = ControlBench(control_database, ControlRules(single_user=True)).desk
    answers = [desk.draft(By(DAN), text(1))]
    answers.append(desk.propose(By(DAN), 1))
    version = answers[0].policy.version
    answers.append(desk.approve(By(DAN, "alone"), 1, version))
    answers.append(desk.release(By(DAN), 1))
    assert all("single-user mode" in answer.notices[0] for answer in answers)
    with desk.read(EVE) as work:
        (approval,) = work.audit.entries(action="policy.approve")
    assert json.loads(approval.after)["single_user"] is True


@pytest.mark.parametrize(
    ("who", "done"),
    [
        (EVE, lambda desk: desk.draft(By(EVE), text(2))),
        (FAY, lambda desk: desk.draft(By(FAY), text(2))),
        (BOB, lambda desk: desk.draft(By(BOB), text(2))),
        (BOB, lambda desk: desk.edit(By(BOB), 1, text(2), revision=1)),
        (BOB, lambda desk: desk.propose(By(BOB), 1)),
        (FAY, lambda desk: desk.rollback(By(FAY, "x"))),
        (FAY, lambda desk: desk.rearm(By(FAY, "x"), "rule")),
        (EVE, lambda desk: desk.keep_backtest(By(EVE), backtest("a", "b"))),
        (BOB, lambda desk: desk.retire(By(BOB, "x"), 1)),
    ],
)
def test_a_role_does_its_own_and_the_refusal_names_the_roles_that_may(bench, who, done):
    bench.desk.draft(By(ANN), text(1))
    entries = len(bench.audit())
    with pytest.raises(
        Denied, match=rf"{who.name} \(\w+\) may not .+; roles that may: "
    ):
        done(bench.desk)
    assert len(bench.audit()) == entries
