"""Models under four eyes, in both databases: one proposes, another lets it decide."""

from __future__ import annotations

import pytest
from control_parts import ANN, BOB, CAT, EVE, FAY, ControlBench
from model_parts import registry_of

from scoring.control.database.unit_of_work import reading
from scoring.control.desks.model_desk import ModelDesk
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.model_proposals import ModelStage
from scoring.control.domain.people import By
from scoring.errors import (
    BadArtifact,
    ChangedMeanwhile,
    Denied,
    ModelRegistryUnavailable,
    NotFound,
    NotPossible,
    ReasonRequired,
)

WHY = "better on every week of October"


@pytest.fixture
def bench(control_database):
    return ControlBench(control_database)


@pytest.fixture
def kept(tmp_path):
    return registry_of(tmp_path / "models", 3)


@pytest.fixture
def desk(bench, kept):
    return desk_of(bench, kept[0])


def desk_of(bench, registry, **more):
    known = {"rules": bench.rules, "registry": lambda: registry, **more}
    return ModelDesk(database=bench.database, now_ms=bench.clock, **known)


def actions(bench):
    with reading(bench.database) as work:
        entries = list(work.audit.entries())
    return [(each.action, each.person, each.subject) for each in entries]


def test_another_person_lets_a_proposed_model_decide_and_both_are_audited(
    bench, desk, kept
):
    registry, (first, second, _) = kept
    proposal = desk.propose(By(ANN, "a week newer"), second)
    assert (proposal.stage, proposal.champion) == (ModelStage.OPEN, first)
    assert registry.promoted() == first
    done = desk.approve(By(BOB, WHY), proposal.number)
    assert (done.stage, done.decided_by, done.reason) == (
        *(ModelStage.PROMOTED, BOB.name),
        WHY,
    )
    assert registry.promoted() == second
    assert desk.told(EVE).champion == second
    assert actions(bench) == [
        ("model.propose", "ann", f"model {second}"),
        ("model.promote", "bob", f"model {second}"),
    ]


def test_nobody_approves_their_own_proposal_unless_they_are_alone(bench, kept):
    registry, (first, second, _) = kept
    desk = desk_of(bench, registry)
    number = desk.propose(By(CAT), second).number
    with pytest.raises(Denied, match="another person"):
        desk.approve(By(CAT, WHY), number)
    assert registry.promoted() == first
    alone = desk_of(bench, registry, rules=ControlRules(single_user=True))
    alone.approve(By(CAT, WHY), number)
    assert registry.promoted() == second


def test_each_step_needs_its_right_and_an_approval_a_reason(desk, kept):
    _, (_, second, _) = kept
    for person in (EVE, FAY, BOB):
        with pytest.raises(Denied):
            desk.propose(By(person), second)
    number = desk.propose(By(ANN), second).number
    for person in (EVE, FAY, ANN):
        with pytest.raises(Denied):
            desk.approve(By(person, WHY), number)
    with pytest.raises(ReasonRequired):
        desk.approve(By(BOB), number)
    with pytest.raises(NotFound):
        desk.approve(By(BOB, WHY), 99)


def test_an_approval_is_of_the_change_that_was_proposed_and_of_no_other(desk, kept):
    registry, (_, second, third) = kept
    older, newer = (desk.propose(By(ANN), each).number for each in (second, third))
    desk.approve(By(BOB, WHY), older)
    with pytest.raises(ChangedMeanwhile, match="propose it again"):
        desk.approve(By(BOB, WHY), newer)
    with pytest.raises(NotPossible, match="promoted already"):
        desk.approve(By(BOB, WHY), older)
    assert registry.promoted() == second


def test_a_proposal_lapses_and_is_withdrawn_by_who_made_it(bench, desk, kept):
    _, (_, second, third) = kept
    number = desk.propose(By(ANN), second).number
    bench.clock.days(8)
    with pytest.raises(NotPossible, match="lapsed"):
        desk.approve(By(BOB, WHY), number)
    other = desk.propose(By(ANN), third).number
    with pytest.raises(Denied):
        desk.reject(By(FAY, "no"), other)
    assert desk.reject(By(ANN, "not yet"), other).stage is ModelStage.REJECTED


def test_what_no_service_would_load_is_neither_proposed_nor_promoted(bench, kept):
    registry, (first, second, _) = kept
    broken = []

    def prove(model):
        if model in broken:
            raise BadArtifact(f"{model}: its file is damaged")

    desk = desk_of(bench, registry, prove=prove)
    number = desk.propose(By(ANN), second).number
    broken.append(second)
    with pytest.raises(BadArtifact):
        desk.approve(By(BOB, WHY), number)
    with pytest.raises(BadArtifact):
        desk.propose(By(ANN), second)
    with pytest.raises(NotPossible, match="holds no model"):
        desk.propose(By(ANN), "f" * 16)
    with pytest.raises(NotPossible, match="champion already"):
        desk.propose(By(ANN), first)
    assert registry.promoted() == first


def test_a_registry_that_fails_leaves_the_proposal_open_and_nothing_audited(
    bench, kept
):
    registry, (_, second, _) = kept

    class Failing:
        place = "s3://models"
        versions, history = registry.versions, registry.history

        def promote(self, _model):
            raise ModelRegistryUnavailable("s3://models: no answer")

        rollback = promote

    desk = desk_of(bench, registry)
    number = desk.propose(By(ANN), second).number
    before = actions(bench)
    with pytest.raises(ModelRegistryUnavailable):
        desk_of(bench, Failing()).approve(By(BOB, WHY), number)
    assert actions(bench) == before
    (open_one,) = desk.proposals(EVE, below=None, count_max=10)
    assert open_one.stage is ModelStage.OPEN
    desk.approve(By(BOB, WHY), number)  # once it answers again
    assert registry.promoted() == second


def test_an_approval_that_was_cut_off_behind_the_registry_is_recorded_by_the_next(
    bench, kept
):
    registry, (first, second, third) = kept

    class CutOff:
        place = registry.place
        versions, history = registry.versions, registry.history

        def promote(self, model):
            registry.promote(model)
            raise ModelRegistryUnavailable("the process ended here")

        rollback = registry.rollback

    desk = desk_of(bench, registry)
    number = desk.propose(By(ANN), second).number
    with pytest.raises(ModelRegistryUnavailable):
        desk_of(bench, CutOff()).approve(By(BOB, WHY), number)
    assert registry.history() == (first, second)
    done = desk.approve(By(BOB, WHY), number)
    assert (done.stage, registry.history()) == (ModelStage.PROMOTED, (first, second))
    assert actions(bench)[-1] == ("model.promote", "bob", f"model {second}")
    late = desk.propose(By(ANN), third).number
    registry.rollback()
    with pytest.raises(ChangedMeanwhile):
        desk.approve(By(BOB, WHY), late)


def test_whoever_is_on_call_returns_to_the_champion_before_with_a_reason(
    bench, desk, kept
):
    registry, (first, second, _) = kept
    desk.approve(By(BOB, WHY), desk.propose(By(ANN), second).number)
    with pytest.raises(Denied):
        desk.roll_back(By(FAY, "harm"), second)
    with pytest.raises(ReasonRequired):
        desk.roll_back(By(BOB), second)
    with pytest.raises(ChangedMeanwhile):
        desk.roll_back(By(BOB, "harm"), first)
    assert desk.roll_back(By(BOB, "harm"), second) == first
    assert registry.promoted() == first
    assert actions(bench)[-1] == ("model.rollback", "bob", f"model {second}")
    with pytest.raises(BadArtifact, match="no earlier model"):
        desk.roll_back(By(BOB, "harm"), first)
    assert actions(bench)[-1][2] == f"model {second}"  # what failed is not audited
