"""Bulk acts on every database: what was done once is told, the rest is done anew."""

from __future__ import annotations

import pytest
from case_parts import BY_FAY, BY_GUS, FRAUD, NOW_MS, CaseBench, close, decision
from control_parts import FAY

from scoring.control.database.case_labels import LabelOutbox
from scoring.control.database.unit_of_work import reading
from scoring.control.desks.case_desk import BulkAct
from scoring.control.domain.case_filter import CaseFilter
from scoring.errors import ChangedMeanwhile


@pytest.fixture
def bench(control_database):
    bench = CaseBench(control_database)
    bench.arrives(decision())
    return bench


def test_leases_are_renewed_as_often_as_somebody_asks(bench):
    act = BulkAct(to="fay")
    for minutes in range(4):
        bench.clock.now_ms += 60_000
        shown = bench.desk.selected(FAY, CaseFilter(), act)
        assert bench.desk.bulk(BY_FAY, CaseFilter(), act, shown.named) == 1
        ends = bench.case().lease_until_ms - bench.rules.lease_ms
        assert ends == bench.clock.now_ms, minutes


@pytest.mark.parametrize("merchant", ["merchant-1", "nobody"])
def test_what_changes_nothing_may_be_done_by_everybody(bench, merchant):
    wanted, act = CaseFilter(merchant=merchant), BulkAct(release=True)
    for by in (BY_FAY, BY_GUS, BY_FAY):
        shown = bench.desk.selected(by.person, wanted, act)
        assert bench.desk.bulk(by, wanted, act, shown.named) == shown.count


def test_what_somebody_has_done_is_another_selection_for_anybody_else(bench):
    act = BulkAct(closing=close())
    shown = bench.desk.selected(FAY, CaseFilter(), act)
    bench.desk.bulk(BY_FAY, CaseFilter(), act, shown.named)
    with pytest.raises(ChangedMeanwhile):
        bench.desk.bulk(BY_GUS, CaseFilter(), act, shown.named)


def test_whose_a_label_is_leaves_the_database_with_the_label(bench):
    bench.desk.close(BY_FAY, 1, close(FRAUD))
    LabelOutbox(bench.database).published([1], at_ms=NOW_MS)
    with reading(bench.database) as work:
        kept = work.connection.exec_driver_sql("SELECT key, value FROM case_labels")
        assert [tuple(row) for row in kept] == [("", None)]
