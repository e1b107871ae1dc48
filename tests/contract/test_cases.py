"""Cases on every database: how they come about, and who has them."""

from __future__ import annotations

import pytest
from case_parts import (
    BY_FAY,
    BY_GUS,
    INCARNATION,
    NOW_MS,
    TOPIC,
    CaseBench,
    close,
    decision,
)
from control_parts import DAN, EVE

from scoring import wire
from scoring.control.database.unit_of_work import reading
from scoring.control.domain.case_filter import CaseFilter
from scoring.control.domain.cases import (
    CaseState,
    Shared,
)
from scoring.control.domain.people import By
from scoring.errors import (
    Denied,
    InvalidTransaction,
    NotPossible,
)


@pytest.fixture
def bench(control_database):
    bench = CaseBench(control_database)
    bench.arrives(decision())
    return bench


# From a decision to a case -------------------------------------------------------


def test_what_is_read_again_makes_no_second_case(bench):
    assert bench.arrives(decision(), decision("t2"), decision("t2")) == 1
    assert bench.arrives(decision(), decision("t2")) == 0
    assert bench.case(2).decided.transaction_id == "t2"


def test_of_two_tenants_one_id_is_two_cases(bench):
    assert bench.arrives(decision(tenant="acme")) == 1
    assert bench.case(2).decided.key == ("acme", "t1")


def test_another_attempt_is_a_case_of_its_own_and_linked(bench):
    bench.arrives(decision("t1b", payment_id="p-t1", attempt=2))
    with reading(bench.database) as work:
        shared = {
            what.value: work.cases.others(bench.case(), what, count_max=5)[0]
            for what in Shared
        }
    assert shared == {"card": 0, "customer": 1, "device": 1, "payment": 1}


def test_a_rule_sends_a_payment_to_people_whatever_the_outcome(bench):
    declined, approved = 4, 1
    assert bench.arrives(decision("t2", outcome=declined, sent_by=["mules"])) == 1
    assert bench.case(2).decided.rules == ("velocity", "mules")
    assert bench.arrives(decision("t3", outcome=approved)) == 0


def test_a_final_decision_takes_the_place_of_a_provisional_one(bench):
    bench.arrives(decision("t2", provisional=True))
    assert bench.admission.awaited() == {("default", "t2")}
    bench.arrives(decision("t2", outcome=1, rules=["mules"], score=0.1))
    case = bench.case(2)
    assert (case.decided.outcome, case.decided.rules) == ("approve", ("mules",))
    assert (case.revision, case.decided.provisional) == (2, False)
    assert bench.admission.awaited() == set()
    with reading(bench.database) as work:
        kept = wire.decision_from_bytes(work.cases.decision(2))
        by_rule = CaseFilter(rule="velocity")
        found = work.cases.selected(by_rule, at_ms=NOW_MS, free_for=None, count_max=10)
    assert kept.core.outcome == 1
    assert found == [(1, 1)]


def test_a_provisional_and_its_final_decision_in_one_batch_are_one_case(bench):
    told = [decision("t2", provisional=True), decision("t2", outcome=1)]
    assert bench.arrives(*told) == 1
    assert bench.case(2).decided.outcome == "approve"


def test_a_payment_that_is_decided_again_changes_neither_its_case_nor_its_end(bench):
    bench.arrives(decision(score=0.9, outcome=4, sent_by=["mules"]))
    assert bench.case().decided.score == 0.5
    bench.arrives(decision("t2", provisional=True))
    closed = bench.desk.close(BY_FAY, 2, close())
    bench.arrives(decision("t2", outcome=1))
    assert bench.case(2) == closed


def test_a_position_is_kept_with_the_cases_and_never_taken_back(bench):
    assert bench.admission.positions(TOPIC, INCARNATION) == {0: 1}
    bench.arrives(decision("t2"))
    bench.offsets = iter([1])
    bench.arrives()
    assert bench.admission.positions(TOPIC, INCARNATION) == {0: 2}
    assert bench.admission.positions(TOPIC, "bb") == {}
    assert bench.admission.positions("more", INCARNATION) is None


# Whose it is ---------------------------------------------------------------------


def test_a_case_is_somebodys_until_the_lease_is_over(bench):
    taken = bench.desk.assign(BY_FAY, 1)
    assert taken.state(bench.clock()) is CaseState.ASSIGNED
    with pytest.raises(NotPossible, match="is with fay until 2023-11-14 22:43"):
        bench.desk.assign(BY_GUS, 1)
    bench.clock.days(1)
    assert bench.case().state(bench.clock()) is CaseState.OPEN
    assert bench.desk.assign(BY_GUS, 1).holder(bench.clock()) == "gus"
    assert bench.audit("case 1") == ["case.assign", "case.assign"]


def test_whoever_has_a_case_renews_hands_on_and_releases_it(bench):
    first = bench.desk.assign(BY_FAY, 1)
    bench.clock.days(0.01)
    again = bench.desk.assign(BY_FAY, 1)
    assert again.lease_until_ms > first.lease_until_ms
    assert again.revision == first.revision
    assert bench.desk.assign(BY_FAY, 1, "Gus").assignee == "gus"
    with pytest.raises(NotPossible):
        bench.desk.release(BY_FAY, 1)
    assert bench.desk.release(BY_GUS, 1).state(bench.clock()) is CaseState.OPEN
    before = bench.state()
    bench.desk.release(BY_GUS, 1)
    assert bench.state() == before


def test_an_admin_takes_a_case_from_whoever_has_it_and_no_viewer_has_one(bench):
    bench.desk.assign(BY_FAY, 1)
    assert bench.desk.assign(By(DAN), 1, "gus").assignee == "gus"
    with pytest.raises(Denied, match="work on cases"):
        bench.desk.assign(By(EVE), 1)
    with pytest.raises(InvalidTransaction, match="to: a person's name"):
        bench.desk.assign(BY_GUS, 1, "a\nb")


# Notes ---------------------------------------------------------------------------


def test_a_note_is_kept_once_and_its_text_is_not_in_the_audit(bench):
    first = bench.desk.note(BY_FAY, 1, " called her\nshe knows it ")
    assert bench.desk.note(BY_FAY, 1, "called her\nshe knows it") == first
    assert bench.desk.note(BY_GUS, 1, "called her\nshe knows it").note == 2
    with bench.desk.read(EVE) as work:
        entry = next(work.audit.entries(action="case.note"))
    assert "called" not in entry.after


@pytest.mark.parametrize("text", ["", " \n", "a\0b", "x" * 4_001, "a\x1b[2Jb"])
def test_a_note_that_cannot_be_kept_is_refused(bench, text):
    with pytest.raises(InvalidTransaction, match="text"):
        bench.desk.note(BY_FAY, 1, text)
