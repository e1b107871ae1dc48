"""Bulk acts on every database: what was done once is told, the rest is done anew."""

from __future__ import annotations

import pytest
from case_parts import BY_FAY, BY_GUS, FRAUD, NOW_MS, CaseBench, close, decision
from control_parts import FAY

from scoring.control.database.case_labels import LabelOutbox
from scoring.control.database.unit_of_work import reading
from scoring.control.desks.case_desk import BulkAct
from scoring.control.domain import case_bulks
from scoring.control.domain.case_filter import CaseFilter
from scoring.control.domain.cases import ListingWish
from scoring.errors import ChangedMeanwhile, NotFound


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
        assert bench.desk.bulk(BY_FAY, CaseFilter(), act, shown.named).done == 1
        ends = bench.case().lease_until_ms - bench.rules.lease_ms
        assert ends == bench.clock.now_ms, minutes


@pytest.mark.parametrize("merchant", ["merchant-1", "nobody"])
def test_what_changes_nothing_may_be_done_by_everybody(bench, merchant):
    wanted, act = CaseFilter(merchant=merchant), BulkAct(release=True)
    for by in (BY_FAY, BY_GUS, BY_FAY):
        shown = bench.desk.selected(by.person, wanted, act)
        assert bench.desk.bulk(by, wanted, act, shown.named).done == shown.count


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


# In pieces ------------------------------------------------------------------------


@pytest.fixture
def many(bench, monkeypatch):
    """Seven cases, of which two are done in one transaction."""
    monkeypatch.setattr(case_bulks, "PIECE_COUNT", 2)
    bench.arrives(*(decision(f"m{n}") for n in range(6)))
    return bench


CLOSING = BulkAct(closing=close())


def test_killed_between_two_pieces_it_goes_on_where_it_ended(many, monkeypatch):
    class Killed(BaseException):
        pass

    done = []

    def killed():
        done.append("piece")
        if len(done) == 2:
            raise Killed

    shown = many.desk.selected(FAY, CaseFilter(), CLOSING)
    monkeypatch.setattr(many.database, "give_way", killed)
    with pytest.raises(Killed):
        many.desk.bulk(BY_FAY, CaseFilter(), CLOSING, shown.named)
    closed = [n for n in range(1, 8) if many.case(n).closing is not None]
    assert closed == [1, 2, 3, 4]
    for other in (BulkAct(release=True), BulkAct(closing=close(why="otherwise"))):
        with pytest.raises(ChangedMeanwhile):
            many.desk.bulk(BY_FAY, CaseFilter(), other, shown.named)
    for _ in range(2):
        told = many.desk.bulk(BY_FAY, CaseFilter(), CLOSING, shown.named)
        assert (told.done, told.left) == (7, ())
    assert many.audit().count("case.close") == 7
    assert [len(many.labels(n)) for n in range(1, 8)] == [1] * 7


def test_what_somebody_took_meanwhile_is_left_and_told(many, monkeypatch):
    shown = many.desk.selected(FAY, CaseFilter(), CLOSING)
    pieces = []

    def give_way():
        many.desk.assign(BY_GUS, 6)
        pieces.append("others can write")

    monkeypatch.setattr(many.database, "give_way", give_way)
    told = many.desk.bulk(BY_FAY, CaseFilter(), CLOSING, shown.named)
    assert told.done == 6
    assert [each.number for each in told.left] == [6]
    assert "revision" in told.left[0].why
    assert len(pieces) == 3
    assert many.case(6).assignee == "gus"
    assert many.desk.bulk(BY_FAY, CaseFilter(), CLOSING, shown.named) == told


def test_a_case_with_which_it_is_not_possible_leaves_no_trace_of_it(many):
    """Its first list takes the token, its second list is of what it does not have."""
    many.lists.create(BY_FAY, "cards", kind="block", field="card")
    many.lists.create(BY_FAY, "devices", kind="block", field="device")
    many.arrives(decision("m9", device=""))
    both = [ListingWish(list=name) for name in ("cards", "devices")]
    act = BulkAct(closing=close(FRAUD, *both))
    shown = many.desk.selected(FAY, CaseFilter(), act)
    told = many.desk.bulk(BY_FAY, CaseFilter(), act, shown.named)
    assert [(each.number, told.done) for each in told.left] == [(8, 7)]
    with reading(many.database) as work:
        assert work.lists.entry("cards", "card-m0") is not None
        assert work.lists.entry("cards", "card-m9") is None
    assert many.audit("case 8") == []
    assert many.case(8).closing is None


def test_what_is_possible_with_none_of_them_is_refused_and_changes_nothing(many):
    act = BulkAct(closing=close(FRAUD, ListingWish(list="nowhere")))
    shown = many.desk.selected(FAY, CaseFilter(), act)
    before = many.state()
    with pytest.raises(NotFound, match="nowhere"):
        many.desk.bulk(BY_FAY, CaseFilter(), act, shown.named)
    assert many.state() == before
    with reading(many.database) as work:
        assert work.case_bulks.of(shown.named, "fay") is None
