"""What we write is a CloudEvent to whoever knows them, the same record to others."""

from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import example, given
from hypothesis import strategies as st
from written_records import RECORDS, TOPICS, happened, letter, logged

from scoring.core.transaction.transaction import Transaction
from scoring.doors.stream.dead_letter_reader import Letter
from scoring.doors.stream.input_fingerprint import answered
from scoring.kafka.cloud_events import event_headers, source_of
from scoring.kafka.decision_records import DecisionRecords
from scoring.kafka.follow_up_records import follow_up_record
from scoring.kafka.record_values import message_in
from scoring.v1 import transaction_pb2


class Bytes(JSONFormat):
    """Data as it stands: what is in it is our readers' to know."""

    def read_data(self, body, _):
        return body


def read(record):
    """What the CloudEvents SDK makes of a record; it refuses what is no event."""
    headers = dict(record.headers)
    assert len(headers) == len(record.headers)
    event = from_binary(KafkaMessage(headers, record.key, record.value), Bytes())
    assert event.get_data() == record.value
    assert event.get_specversion() == "1.0"
    return event


IDS = {
    "decision": ("scoring.v1.Decision", "default:t1", "t1"),
    "decision in JSON": ("scoring.v1.Decision", "default:t1", "t1"),
    "challenge": ("scoring.v1.Decision.challenger", "m1:default:t1", "t1"),
    "label": ("scoring.v1.Label", "default:2:t1", "t1"),
    "event": ("scoring.v1.LifecycleEvent", "default:refund%3A1:t1", "t1"),
    "letter": (
        "scoring.v1.DeadLetter",
        f"3@12:{dict(RECORDS['letter'].headers)['src-print'].decode()}",
        "shop-1.transactions/3@12",
    ),
    "refusal": ("scoring.v1.DeadLetter", "refused:default:t1", "t1"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_we_write_is_a_cloud_event_with_its_value_untouched(name):
    record = RECORDS[name]
    event = read(record)
    told = event.get_type(), event.get_id(), event.get_subject()
    assert told == IDS[name]
    assert event.get_source() == source_of(record.topic)
    assert event.get_time() == datetime(2026, 3, 1, 12, 0, 0, 123_000, UTC)
    declared = dict(record.headers)["content-type"].decode()
    assert event.get_datacontenttype() == declared


def test_source_and_id_tell_every_event_from_every_other():
    named = [(read(r).get_source(), read(r).get_id()) for r in RECORDS.values()]
    # The same decision in another form is the same event.
    assert len(set(named)) == len(named) - 1


tenants = st.from_regex(r"\A[A-Za-z0-9._-]{1,8}\Z")
ids = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(tenants, ids, tenants, ids)
def test_two_decisions_have_one_id_only_where_they_are_one(
    tenant, id_, other, other_id
):
    def event(tenant, id_, at_ms):
        payment = Transaction(tenant, id_)
        value = logged(tenant, id_, at_ms)
        return read(DecisionRecords(TOPICS).record(value, payment)).get_id()

    same = (tenant, id_) == (other, other_id)
    assert (event(tenant, id_, 1) == event(other, other_id, 2)) == same


@given(ids, ids, ids, ids)
@example("a:b", "c", "a", "b:c")
@example("%3A", "c", ":", "c")
def test_two_events_have_one_id_only_where_they_are_one(event, id_, other, other_id):
    def name(event, id_):
        return read(follow_up_record(TOPICS, happened(event, id_))).get_id()

    same = (event, id_) == (other, other_id)
    assert (name(event, id_) == name(other, other_id)) == same


def test_a_letter_of_a_record_is_another_s_once_the_topic_was_made_again():
    def name(**fields):
        return read(letter(**fields)).get_id()

    assert name() == name()
    assert len({name(), name(value=b"\xfe"), name(offset=13)}) == 3


@pytest.mark.parametrize("at_ms", [-1, 0, 2**62])
def test_a_time_that_no_calendar_has_is_the_nearest_that_one_has(at_ms):
    told = event_headers("t", "decisions", id_="1", at_ms=at_ms, subject="1")
    assert dict(told)["ce_time"][-1:] == b"Z"


def test_a_letter_keeps_the_headers_of_its_original_apart_from_its_own():
    sent = (("ce_id", b"order-1"), ("ce_source", b"/checkout"), ("a", b"1"))
    record = letter(headers=sent)
    message = message_in(record, transaction_pb2.DeadLetter)
    assert Letter("3@0", message).record().headers == sent
    assert read(record).get_source() == source_of(TOPICS.transactions_dead_letter)
    assert read(record).get_id() != "order-1"


def test_the_headers_of_an_event_leave_the_watermark_readable():
    assert answered(RECORDS["decision"].headers) == (12, 0xFF)
