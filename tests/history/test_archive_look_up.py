"""One archived payment and others of its tokens, as people look them up."""

from __future__ import annotations

import pytest
from backtest_parts import DAY_MS, FIRST_MS, labelled, recorded

from scoring.control.desks.payment_desk import LINKED_MAX, PaymentWish
from scoring.core.features.catalogue import default_catalogue
from scoring.core.transaction.transaction import Transaction
from scoring.errors import Unavailable
from scoring.history.archive import Archive
from scoring.history.archive_look_up import ArchiveLookUp
from scoring.v1.decision_pb2 import OUTCOME_DECLINE, Decision
from scoring.v1.fraud_scoring_pb2 import GetDecisionResponse

CATALOGUE = default_catalogue()


def paid(id_, day, number, *, tenant="default", **fields):
    """A payment of a day as the archive has it."""
    at_ms = FIRST_MS + day * DAY_MS
    known = {"occurred_at_ms": at_ms, "amount_minor": 1_000, "currency": "EUR"}
    decision = Decision()
    decision.core.tenant, decision.core.transaction_id = tenant, id_
    decision.core.outcome = OUTCOME_DECLINE
    return recorded(
        Transaction(tenant, id_, **(known | fields)),
        number,
        CATALOGUE,
        outcome="decline",
        decision=decision.SerializeToString(),
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Payments of a card on ten days; one of another tenant; one with two attempts."""
    made = Archive(tmp_path_factory.mktemp("archive"))
    made.prepare()
    rows = [paid(f"t{day}", day, day, card="card-1", device="") for day in range(10)]
    rows[5] |= {"payment_id": "p-5", "device": "device-5", "attempt": 2}
    rows += [
        paid("t5-first", 5, 20, payment_id="p-5", card="card-2"),
        paid("other", 5, 21, tenant="another", card="card-1"),
        paid("t5", 5, 22, card="card-1"),  # came twice: what was first counts
        paid("alone", 5, 23),
    ]
    made.take("decisions", 0, rows, (0, 30))
    label = labelled("t5", 0, FIRST_MS + 40 * DAY_MS)
    made.take("labels", 0, [label], (0, 1))
    return made


def wish(id_="t5", **more):
    known = {"tenant": "default", "near_ms": FIRST_MS + 5 * DAY_MS, "days": 30}
    return PaymentWish(transaction_id=id_, **(known | more))


def links(found):
    return {each.shared: each for each in found.links}


def life(found):
    return GetDecisionResponse.FromString(found.life)


def test_a_payment_is_found_with_its_decision_its_fields_and_what_was_told_since(
    archive,
):
    told = life(ArchiveLookUp(archive).found(wish()))
    assert told.decision.core.outcome == OUTCOME_DECLINE
    assert told.decision.transaction.device == "device-5"
    (label,) = told.labels
    assert (label.version, label.transaction_id) == (1, "t5")


def test_others_of_its_tokens_are_counted_once_each_and_the_newest_are_named(archive):
    found = links(ArchiveLookUp(archive).found(wish()))
    assert set(found) == {"payment_id", "card", "device"}
    assert found["card"].count == 9
    newest = [each.transaction_id for each in found["card"].newest]
    assert newest == ["t9", "t8", "t7", "t6", "t4"][:LINKED_MAX]
    (attempt,) = found["payment_id"].newest
    assert (attempt.transaction_id, attempt.outcome) == ("t5-first", "decline")
    assert (found["device"].count, list(found["device"].newest)) == (0, [])


def test_no_more_days_are_looked_through_than_are_asked_for(archive):
    found = links(ArchiveLookUp(archive).found(wish(days=1)))
    assert {each.transaction_id for each in found["card"].newest} == {"t4", "t6"}


def test_a_payment_is_found_whose_day_nobody_knows(archive):
    found = ArchiveLookUp(archive).found(wish("t9", near_ms=None))
    assert life(found).decision.core.transaction_id == "t9"
    assert links(found)["card"].count == 9


def test_others_are_found_of_a_payment_that_is_not_archived_yet(archive):
    found = ArchiveLookUp(archive).found(wish("new", tokens={"card": "card-2"}))
    assert found.life is None
    (link,) = found.links
    assert [each.transaction_id for each in link.newest] == ["t5-first"]


def test_what_is_unknown_of_a_payment_links_it_to_none(archive):
    assert ArchiveLookUp(archive).found(wish("alone")).links == ()


def test_of_an_archive_without_payments_there_is_nothing(tmp_path):
    found = ArchiveLookUp(Archive(tmp_path / "none")).found(wish())
    assert (found.life, found.links) == (None, ())


def test_a_search_that_takes_too_long_ends_and_says_what_to_do(archive):
    with pytest.raises(Unavailable, match="fewer days"):
        ArchiveLookUp(archive, within_s=0.0).found(wish())


def test_one_search_runs_at_a_time(archive):
    search = ArchiveLookUp(archive, within_s=0.05)
    with search._lock, pytest.raises(Unavailable, match="others look"):
        search.found(wish())


@pytest.mark.parametrize("token", ["' OR 1=1 --", '"; DROP TABLE others', "$id", ""])
def test_a_token_is_a_value_and_never_a_part_of_the_question(archive, token):
    found = ArchiveLookUp(archive).found(wish("new", tokens={"card": token}))
    assert sum(each.count for each in found.links) == 0
