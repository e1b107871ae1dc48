"""Cases on every database: how they end, one or many at once."""

from __future__ import annotations

import threading

import pytest
from case_parts import (
    BY_FAY,
    BY_GUS,
    FRAUD,
    INCONCLUSIVE,
    LEGITIMATE,
    NOW_MS,
    CaseBench,
    close,
    decision,
)
from control_parts import DAN, FAY

from scoring import wire
from scoring.control.database.case_labels import LabelOutbox
from scoring.control.database.unit_of_work import reading
from scoring.control.desks.case_desk import BulkAct
from scoring.control.domain.case_bulks import BULK_MAX
from scoring.control.domain.case_filter import CaseFilter
from scoring.control.domain.cases import (
    CaseState,
    ListingWish,
)
from scoring.control.domain.people import By
from scoring.core.transaction.label import LabelSource, Verdict
from scoring.errors import (
    CardNumberRefused,
    ChangedMeanwhile,
    InvalidTransaction,
    NotFound,
    NotPossible,
    ReasonRequired,
)


@pytest.fixture
def bench(control_database):
    bench = CaseBench(control_database)
    bench.arrives(decision())
    return bench


@pytest.fixture
def stolen(bench):
    bench.lists.create(BY_FAY, "stolen", kind="block", field="card")
    return ListingWish(list="stolen", reason="said the bank")


def entries(bench, name="stolen"):
    with reading(bench.database) as work:
        return {each.token: each.source for each in work.lists.all_entries(name)}


# How it ends ---------------------------------------------------------------------


def test_closing_writes_a_label_and_a_list_entry_in_one_step(bench, stolen):
    closed = bench.desk.close(BY_FAY, 1, close(FRAUD, stolen))
    assert closed.state(bench.clock()) is CaseState.CLOSED
    (record,) = LabelOutbox(bench.database).unpublished(count_max=10)
    label = wire.label_from_bytes(record.value)
    assert record.key == "card-t1"
    assert (label.tenant, label.transaction_id, label.version) == ("default", "t1", 1)
    assert (label.verdict, label.source) == (Verdict.FRAUD, LabelSource.REVIEW)
    assert label.known_at_ms == bench.clock()
    assert label.transaction.card == "card-t1"
    assert entries(bench) == {"card-t1": "case 1"}
    with reading(bench.database) as work:
        keys = [each.key for each in work.outbox.unpublished(count_max=10)]
    assert keys[-1] == "list/stolen/change/2"
    assert bench.audit()[-2:] == ["list.put", "case.close"]


def test_closing_said_again_changes_nothing_and_is_answered_alike(bench, stolen):
    first = bench.desk.close(BY_FAY, 1, close(FRAUD, stolen), revision=1)
    before = bench.state()
    bench.clock.days(1)
    assert bench.desk.close(BY_FAY, 1, close(FRAUD, stolen), revision=1) == first
    assert bench.state() == before


def test_another_end_of_a_closed_case_is_refused(bench, stolen):
    bench.desk.close(BY_FAY, 1, close(FRAUD, stolen))
    before = bench.state()
    for by, wish in [
        (BY_GUS, close(FRAUD, stolen)),
        (BY_FAY, close(LEGITIMATE, stolen)),
        (BY_FAY, close(FRAUD)),
        (By(FAY, "another reason"), close(FRAUD, stolen)),
    ]:
        with pytest.raises(NotPossible, match="is closed: fraud, by fay; reopen it"):
            bench.desk.close(by, 1, wish)
    assert bench.state() == before


def test_nothing_is_kept_where_a_list_entry_is_refused(bench, stolen):
    bench.lists.create(BY_FAY, "wallets", kind="plain", field="wallet")
    before = bench.state()
    refused = [
        (ListingWish(list="wallets"), InvalidTransaction, "listings.1.list"),
        (ListingWish(list="nowhere"), NotFound, "no list 'nowhere'"),
        (ListingWish(list="stolen", expires="soon"), InvalidTransaction, "expires"),
        (
            ListingWish(list="stolen", reason="4111111111111111"),
            CardNumberRefused,
            "reason",
        ),
    ]
    for wish, error, told in refused:
        with pytest.raises(error, match=told):
            bench.desk.close(BY_FAY, 1, close(FRAUD, stolen, wish))
        assert bench.state() == before


def test_a_list_takes_the_token_that_its_field_says(bench):
    bench.lists.create(BY_FAY, "devices", kind="block", field="device")
    bench.lists.create(BY_FAY, "plans", kind="plain", field="attributes.plan")
    told = decision("t2")
    told.transaction.attributes["plan"] = "gold"
    bench.arrives(told)
    wishes = [ListingWish(list="devices"), ListingWish(list="plans")]
    closed = bench.desk.close(BY_FAY, 2, close(FRAUD, *wishes))
    assert [each.token for each in closed.closing.listed] == ["device-1", "gold"]


def test_nobody_closes_a_case_that_somebody_else_has(bench):
    bench.desk.assign(BY_GUS, 1)
    for by in (BY_FAY, By(DAN)):
        with pytest.raises(NotPossible, match="is with gus"):
            bench.desk.close(by, 1, close())
    assert bench.desk.close(BY_GUS, 1, close()).closing.by == "gus"


def test_a_lease_that_ends_before_the_closing_loses_the_case_to_who_took_it(bench):
    bench.desk.assign(BY_FAY, 1)
    bench.clock.days(1)
    assert bench.desk.close(BY_FAY, 1, close()).closing.by == "fay"
    bench.arrives(decision("t2"))
    read = bench.desk.assign(BY_FAY, 2).revision
    bench.clock.days(1)
    bench.desk.assign(BY_GUS, 2)
    with pytest.raises(ChangedMeanwhile, match="at revision 3, not 2"):
        bench.desk.close(BY_FAY, 2, close(), revision=read)
    with pytest.raises(NotPossible, match="is with gus"):
        bench.desk.close(BY_FAY, 2, close())


def test_of_two_who_close_at_once_one_does(bench, stolen):
    told, start = [], threading.Barrier(6)

    def closing(n):
        start.wait()
        by, verdict = (BY_FAY, FRAUD) if n % 2 else (BY_GUS, LEGITIMATE)
        try:
            told.append(bench.desk.close(by, 1, close(verdict, stolen)))
        except NotPossible as error:
            told.append(str(error))

    threads = [threading.Thread(target=closing, args=(n,)) for n in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    done = [each for each in told if not isinstance(each, str)]
    assert len(done) == 3
    assert all(each == done[0] for each in done)
    assert len(bench.labels()) == 1
    assert bench.audit("case 1") == ["case.close"]


def test_a_case_without_a_finding_says_nothing_to_the_service(bench):
    bench.desk.close(BY_FAY, 1, close(INCONCLUSIVE))
    assert bench.labels() == []


def test_a_reopened_case_says_its_next_label_above_the_first(bench):
    bench.desk.close(BY_FAY, 1, close(FRAUD))
    with pytest.raises(ReasonRequired):
        bench.desk.reopen(By(FAY), 1)
    reopened = bench.desk.reopen(BY_GUS, 1)
    assert reopened.state(bench.clock()) is CaseState.OPEN
    bench.desk.close(BY_GUS, 1, close(INCONCLUSIVE))
    said = [(each.version, each.verdict) for each in bench.labels()]
    assert said == [(1, Verdict.FRAUD), (2, Verdict.WITHDRAWN)]
    bench.desk.reopen(BY_GUS, 1)
    with pytest.raises(NotPossible, match="is not closed"):
        bench.desk.reopen(BY_GUS, 1)


def test_a_label_goes_above_those_that_others_reported(bench):
    bench.desk.close(BY_FAY, 1, close(FRAUD, label_version=7))
    bench.desk.reopen(BY_FAY, 1)
    with pytest.raises(InvalidTransaction, match="label_version: must be above 7"):
        bench.desk.close(BY_FAY, 1, close(FRAUD, label_version=7))
    bench.desk.close(BY_FAY, 1, close(LEGITIMATE))
    assert [each.version for each in bench.labels()] == [7, 8]


def test_a_label_leaves_once_and_its_payment_is_not_kept(bench):
    bench.desk.close(BY_FAY, 1, close(FRAUD))
    outbox = LabelOutbox(bench.database)
    (record,) = outbox.unpublished(count_max=10)
    assert outbox.waiting() == 1
    outbox.published([record.sequence], at_ms=NOW_MS)
    assert (outbox.waiting(), outbox.unpublished(count_max=10)) == (0, [])
    assert bench.labels()[0].published_at_ms == NOW_MS


def test_no_label_is_known_before_its_payment(bench):
    bench.arrives(decision("t2", at_ms=NOW_MS + 5_000))
    bench.desk.close(BY_FAY, 2, close(FRAUD))
    assert bench.labels(2)[0].known_at_ms == NOW_MS + 5_000


def test_a_payment_of_a_later_release_is_labelled_by_its_id_alone(bench, stolen):
    told = decision("t2")
    told.transaction.MergeFromString(b"\xf8\x3f\x01")  # field 1023
    bench.arrives(told)
    with pytest.raises(NotPossible, match="later release"):
        bench.desk.close(BY_FAY, 2, close(FRAUD, stolen))
    bench.desk.close(BY_FAY, 2, close(FRAUD))
    (record,) = LabelOutbox(bench.database).unpublished(count_max=10)
    assert wire.label_from_bytes(record.value).transaction is None
    assert record.key == "card-t2"


# Many ----------------------------------------------------------------------------


def test_many_are_closed_once_they_were_counted(bench, stolen):
    bench.arrives(*(decision(f"m{n}", merchant="shop") for n in range(5)))
    wanted, act = CaseFilter(merchant="shop"), BulkAct(closing=close(FRAUD, stolen))
    shown = bench.desk.selected(FAY, wanted, act)
    assert shown.count == 5
    assert bench.desk.bulk(BY_FAY, wanted, act, shown.named).done == 5
    assert len(entries(bench)) == 5
    before = bench.state()
    assert bench.desk.bulk(BY_FAY, wanted, act, shown.named).done == 5
    assert bench.state() == before
    assert bench.desk.selected(FAY, wanted, act).count == 0


def test_a_selection_that_changed_since_is_refused_whole(bench):
    wanted, act = CaseFilter(merchant="merchant-1"), BulkAct(closing=close())
    shown = bench.desk.selected(FAY, wanted, act)
    bench.arrives(decision("t2"))
    with pytest.raises(ChangedMeanwhile) as told:
        bench.desk.bulk(BY_FAY, wanted, act, shown.named)
    assert told.value.changes == ("it has 2 cases now",)
    for other in (BulkAct(closing=close(LEGITIMATE)), BulkAct(release=True)):
        again = bench.desk.selected(FAY, wanted, act)
        with pytest.raises(ChangedMeanwhile):
            bench.desk.bulk(BY_FAY, wanted, other, again.named)
    assert bench.audit("case 1") == []


def test_what_somebody_else_has_is_in_no_selection_but_an_admins(bench):
    bench.arrives(decision("t2"))
    bench.desk.assign(BY_GUS, 1)
    closing, giving = BulkAct(closing=close()), BulkAct(to="fay")
    count = {
        who.name: [bench.desk.selected(who, CaseFilter(), act).count for act in acts]
        for who, acts in [(FAY, [closing, giving]), (DAN, [closing, giving])]
    }
    assert count == {"fay": [1, 1], "dan": [1, 2]}
    shown = bench.desk.selected(DAN, CaseFilter(), giving)
    bench.desk.bulk(By(DAN), CaseFilter(), giving, shown.named)
    assert [bench.case(n).assignee for n in (1, 2)] == ["fay", "fay"]


def test_more_than_one_act_may_be_done_with_is_refused(bench):
    bench.arrives(*(decision(f"m{n}") for n in range(BULK_MAX)))
    with pytest.raises(NotPossible, match="narrow the filter"):
        bench.desk.selected(FAY, CaseFilter(), BulkAct(closing=close()))


# What is kept --------------------------------------------------------------------


def test_what_is_personal_in_a_closed_case_is_erased_in_time(bench, stolen):
    bench.desk.note(BY_FAY, 1, "she lives abroad")
    bench.desk.close(BY_FAY, 1, close(FRAUD, stolen))
    LabelOutbox(bench.database).published([1], at_ms=NOW_MS)
    bench.arrives(decision("t2"))
    bench.clock.days(179)
    assert bench.admission.erase_old() == 0
    bench.clock.days(2)
    assert bench.admission.erase_old() == 1
    assert bench.admission.erase_old() == 0
    case = bench.case()
    assert case.erased
    assert (case.decided.card, case.decided.customer, case.decided.device) == ("",) * 3
    assert [each.token for each in case.closing.listed] == [""]
    assert case.closing.wish.verdict is FRAUD
    with reading(bench.database) as work:
        assert (work.cases.decision(1), work.cases.notes(1)) == (b"", [])
        assert work.cases.decision(2)
    with pytest.raises(NotPossible, match="erased"):
        bench.desk.reopen(BY_FAY, 1)
    assert bench.arrives(decision()) == 0, "it is known for ever that it was a case"
    assert bench.audit("cases") == ["case.erase"]
