"""The demo's independent consumer counts as the promises are written."""

import json
from base64 import b64encode

from scoring.demo.audit import DeliveryAudit, dead_letter_id
from scoring.demo.tally import Tally
from scoring.demo.world import LABEL_DELAY_MS, LabelQueue, payments


def core(id_, outcome="OUTCOME_APPROVE", **more):
    return {"transactionId": id_, "outcome": outcome, **more}


def test_a_transaction_decided_once_is_neither_lost_nor_duplicated():
    audit = DeliveryAudit()
    audit.sent("a")
    audit.sent("a")
    audit.decision(core("a"))
    assert (audit.lost, audit.duplicated, audit.conflicting) == (0, 0, 0)
    assert audit.clean


def test_a_dead_letter_answers_a_transaction():
    audit = DeliveryAudit()
    audit.sent("a")
    assert audit.lost == 1
    audit.dead_letter("a")
    assert audit.clean


def test_a_second_record_is_a_duplicate_even_if_it_is_equal():
    audit = DeliveryAudit()
    audit.sent("a")
    audit.decision(core("a"))
    audit.decision(core("a"))
    assert (audit.duplicated, audit.conflicting, audit.clean) == (1, 0, False)


def test_a_reply_that_differs_from_the_record_is_a_conflict():
    for first_reply in (True, False):
        audit = DeliveryAudit()
        audit.sent("a")
        if first_reply:
            audit.replied(core("a"))
            audit.decision(core("a", "OUTCOME_DECLINE"))
        else:
            audit.decision(core("a", "OUTCOME_DECLINE"))
            audit.replied(core("a"))
        assert audit.conflicting == 1


def test_degraded_decisions_are_counted_once():
    audit = DeliveryAudit()
    degraded = core("a", degradations=[{"code": "X"}])
    audit.decision(degraded)
    audit.decision(degraded)
    audit.decision(core("b"))
    assert audit.degraded_count == 1


def test_the_id_of_a_dead_letter_is_read_from_its_original_bytes():
    original = b64encode(json.dumps({"id": "t9"}).encode()).decode()
    assert dead_letter_id(json.dumps({"value": original}).encode()) == "t9"
    assert dead_letter_id(b"garbage") == ""


def test_frauds_are_caught_where_they_are_not_let_through():
    tally = Tally(truth={"bad", "worse"})
    for id_, outcome in (
        ("bad", "OUTCOME_REVIEW"),
        ("worse", "OUTCOME_APPROVE"),
        ("good", "OUTCOME_DECLINE"),
        ("fine", "OUTCOME_APPROVE"),
    ):
        tally.decided({"core": core(id_, outcome)}, at_ms=0, second=0)
    assert (tally.caught, tally.missed, tally.false_alarms) == (1, 1, 1)
    assert len(tally.declines) == 1


def test_labels_come_back_after_their_delay_in_the_order_of_their_payments():
    source = payments(seed=3, ends_before_ms=1_700_000_000_000)
    sent = [next(source) for _ in range(500)]
    queue = LabelQueue()
    for payment in sent:
        queue.add(payment)
    half = sent[250].transaction.occurred_at_ms + LABEL_DELAY_MS
    labels = queue.due(half)
    assert [label.transaction_id for label in labels] == [
        payment.transaction.id
        for payment in sent
        if payment.transaction.occurred_at_ms + LABEL_DELAY_MS <= half
    ]
    assert all(label.known_at_ms <= half for label in labels)
