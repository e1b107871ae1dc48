from types import SimpleNamespace

import pytest
from stream_parts import NOW_MS, PROTOBUF, transaction

from scoring.doors.stream.dead_letter_reader import Letter
from scoring.doors.stream.dead_letters import (
    VALUE_BYTES_MAX,
    dead_letter,
    is_refusal,
    letter_record,
)
from scoring.doors.stream.input_fingerprint import fingerprint
from scoring.doors.stream.records import KafkaIntake
from scoring.errors import ScoringError, StoreUnavailable
from scoring.kafka.batch_decoder import Renamed, Unread
from scoring.kafka.record_values import Malformed, message_in
from scoring.telemetry.prometheus import SilentTelemetry
from scoring.v1.transaction_pb2 import DeadLetter, DeadLetterReason, Header

PAN = "4111111111111111"


class Counts(SilentTelemetry):
    def __init__(self):
        self.counted = []

    def count(self, event, n=1):
        self.counted += [event] * n


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
def intake(counts):
    return KafkaIntake(
        message_bytes_max=10_000,
        skew_ms=300_000,
        exempt=frozenset(),
        telemetry=counts,
    )


DECLARED = (("content-type", PROTOBUF.encode()),)


def record(value, *, key=b"card-1", headers=DECLARED):
    return SimpleNamespace(
        topic="transactions",
        partition=3,
        offset=1234,
        timestamp=NOW_MS,
        key=key,
        value=value,
        headers=headers,
    )


def good(**fields) -> bytes:
    return transaction("t1", **{"card": "card-1"} | fields).SerializeToString()


def letter_of(intake, one):
    with pytest.raises(ScoringError) as raised:
        intake.check(one)
    assert is_refusal(raised.value)
    return dead_letter(one, raised.value)


def reason(letter) -> str:
    return DeadLetterReason.Name(letter.reason).removeprefix("DEAD_LETTER_REASON_")


def test_a_good_record_becomes_a_check_that_knows_its_position(intake, counts):
    check = intake.check(record(good()))
    assert check.position == "transactions/3@1234"
    assert check.received_at_ms == NOW_MS
    assert check.deadline is None
    assert counts.counted == []


@pytest.mark.parametrize("field", ["occurred_at", "location"])
def test_a_field_that_this_version_lacks_becomes_a_letter_that_names_its_place(
    intake, field
):
    sent = transaction("t1", card="card-1")
    getattr(sent, field).MergeFromString(b"\xfa\x01\x02hi")
    letter = letter_of(intake, record(sent.SerializeToString()))
    assert letter.field == field


def test_json_is_known_by_its_header_and_by_its_brace(intake):
    body = (
        b'{"id":"t1","occurredAt":"2024-01-01T00:00:00Z","amountMinor":"5",'
        b'"currency":"EUR","card":"card-1"}'
    )
    declared = record(body, headers=(("content-type", b"application/json"),))
    bare = record(body, headers=())
    assert intake.check(declared).payload_hash == intake.check(bare).payload_hash


def test_the_trace_context_is_taken_from_its_header(intake):
    trace = b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01"
    assert (
        intake.check(record(good(), headers=(("traceparent", trace),))).traceparent
        == trace.decode()
    )


@pytest.mark.parametrize(
    ("value", "expected", "field"),
    [
        (b"garbage", "MALFORMED", ""),
        (good()[:-3], "MALFORMED", ""),
        (None, "MALFORMED", ""),
        (b"\xff" * 100, "MALFORMED", ""),
        (b"{not json", "MALFORMED", ""),
        (b'{"id":"t1","amountMinor":"much"}', "INVALID", "amount_minor"),
        (b"", "INVALID", "id"),
        (transaction("").SerializeToString(), "INVALID", "id"),
        (good(amount_minor=-1), "INVALID", "amount_minor"),
        (good(channel=77), "INVALID", "channel"),
        (good(at_ms=NOW_MS + 301_000), "INVALID", "occurred_at"),
        (good(card=PAN), "CARD_NUMBER", "card"),
        (good(attributes={"note": PAN}), "CARD_NUMBER", "attributes"),
        (b"x" * 10_001, "OVERSIZE", ""),
    ],
    # Values hold the time at which they were made; test processes must agree on ids.
    ids=lambda part: part if isinstance(part, str) else "value",
)
def test_what_cannot_be_judged_is_told_by_reason_and_field(
    intake, value, expected, field
):
    headers = () if value and value[:1] == b"{" else DECLARED
    letter = letter_of(intake, record(value, headers=headers))
    assert (reason(letter), letter.field) == (expected, field)
    assert letter.message
    assert (letter.topic, letter.partition, letter.offset) == ("transactions", 3, 1234)


@pytest.mark.parametrize(
    "content_type", [b"text/plain", b"application/x-protobuf; version=2", b"\xff"]
)
def test_an_unknown_content_type_is_told(intake, content_type):
    one = record(good(), headers=(("content-type", content_type),))
    assert reason(letter_of(intake, one)) == "UNKNOWN_TYPE"


@pytest.mark.parametrize(
    ("field", "one"),
    [
        ("key", record(good(), key=PAN.encode())),
        ("headers", record(good(), headers=(("note", PAN.encode()),))),
        ("headers", record(good(), headers=((PAN, b""),))),
    ],
)
def test_a_card_number_in_key_or_headers_is_refused_and_masked(intake, field, one):
    letter = letter_of(intake, one)
    assert (reason(letter), letter.field) == ("CARD_NUMBER", field)
    assert PAN.encode() not in letter.SerializeToString()
    assert letter.masked


def test_a_card_number_anywhere_is_overwritten_and_its_hash_is_not_given(intake):
    one = record(b"broken " + PAN.encode() + b" \xff", key=PAN.encode())
    letter = letter_of(intake, one)
    assert reason(letter) == "MALFORMED"
    assert letter.value == b"broken XXXXXXXXXXXXXXXX \xff"
    assert letter.key == b"X" * 16
    assert letter.masked
    assert letter.value_sha256 == b""


def test_an_oversize_letter_keeps_size_hash_and_the_first_64_kb(intake):
    letter = letter_of(intake, record(b"ab" * 500_000))
    assert letter.value_size_bytes == 1_000_000
    assert len(letter.value) == 65_536
    assert len(letter.value_sha256) == 32


def test_a_letter_keeps_the_original_bytes_and_headers(intake):
    letter = letter_of(intake, record(b"garbage", headers=(("a", b"1"), ("b", b""))))
    assert letter.value == b"garbage"
    assert [(h.key, h.value) for h in letter.headers] == [("a", b"1"), ("b", b"")]
    assert not letter.masked


@pytest.mark.parametrize(("key", "event"), [(None, "keyless"), (b"other", "miskeyed")])
def test_keyless_and_miskeyed_records_are_judged_and_counted(
    intake, counts, key, event
):
    assert intake.check(record(good(), key=key))
    assert counts.counted == [event]


def test_what_is_not_the_inputs_fault_is_no_refusal():
    assert not is_refusal(StoreUnavailable("away"))


@pytest.mark.parametrize("nothing", [None, b""])
def test_a_content_type_without_a_value_says_nothing(intake, nothing):
    one = record(good(), headers=(("content-type", nothing), ("trace", nothing)))
    assert intake.check(one).transaction.id == "t1"


@pytest.mark.parametrize(
    "content_type",
    [
        b'"application/json"',
        b"application/json; charset=UTF-8",
        b"application/vnd.bank.payment+json",
    ],
)
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b" \r\n\t"])
def test_json_is_json_however_it_is_declared_and_whatever_stands_before_it(
    intake, content_type, before
):
    body = before + (
        b'{"id":"t1","occurredAt":"2024-01-01T00:00:00Z","amountMinor":"5",'
        b'"currency":"EUR","card":"card-1"}'
    )
    for headers in ((("content-type", content_type),), ()):
        assert intake.check(record(body, headers=headers)).transaction.id == "t1"


def test_what_was_not_read_is_oversize_and_its_letter_says_that_it_is_cut(intake):
    letter = letter_of(intake, record(Unread.because("it is too large")))
    assert reason(letter) == "OVERSIZE"
    assert letter.message == "it is too large"
    assert letter.cut


LARGE = [
    record(b"?" * 3_000_000, headers=()),
    record(b"\xff" * 9_000, key=b"k" * 3_000_000),
    record(b"", headers=tuple((f"n{i}", b"\xff" * 900) for i in range(3_000))),
    record(b"", headers=(("n" * 2_000_000, b""),)),
    record(b"", headers=(("n", b"\x00" * 2_000_000), *DECLARED)),
    record(b"", headers=tuple(("\x00" * 300, b"") for _ in range(6_000))),
]


@pytest.mark.parametrize("content_type", [PROTOBUF, "application/json"])
@pytest.mark.parametrize("bytes_max", [1_000_000, 100_000, 5_000])
@pytest.mark.parametrize("one", LARGE, ids=range(len(LARGE)))
def test_a_letter_fits_whatever_it_tells_of(one, bytes_max, content_type):
    written = letter_record(
        one, Malformed("?"), topic="d", content_type=content_type, bytes_max=bytes_max
    )
    around = sum(len(name) + len(value) for name, value in written.headers)
    assert len(written.value) + len(written.key or b"") + around < bytes_max
    letter = message_in(written, DeadLetter)
    assert letter.cut
    assert letter.value_size_bytes == len(one.value)
    assert not Letter("0@0", letter).whole


def test_a_letter_that_fits_is_whole_with_every_header_and_all_of_its_key(intake):
    headers = tuple((f"n{i}", b"v" * 2_000) for i in range(60))
    one = record(b"garbage", key=b"k" * 9_000, headers=headers)
    letter = letter_of(intake, one)
    assert not letter.cut
    again = Letter("0@0", letter).record()
    assert (again.key, again.value, again.headers) == (one.key, one.value, headers)


def test_a_header_whose_name_is_shown_otherwise_cannot_be_sent_again(intake):
    letter = letter_of(intake, record(b"garbage", headers=((Renamed("\\xff"), b""),)))
    assert letter.cut
    assert not Letter("0@0", letter).whole


@pytest.mark.parametrize(
    "more",
    [
        {"headers": [Header(key="n")] * 32},
        {"headers": [Header(key="n" * 1_024)]},
        {"headers": [Header(key="n", value=b"v" * 1_024)]},
        {"key": b"k" * 4_096},
        {"value_size_bytes": 3},
    ],
)
def test_a_letter_of_an_earlier_release_that_may_be_cut_is_not_whole(more):
    assert Letter("0@0", DeadLetter(headers=[Header(key="n")])).whole
    assert not Letter("0@0", DeadLetter(**more)).whole


def test_no_cut_leaves_most_of_a_card_number(intake):
    value = b"x" * (VALUE_BYTES_MAX - 12) + PAN.encode() + b"x" * 20_000
    letter = letter_of(intake, record(value))
    assert letter.value.endswith(b"X" * 12)


@pytest.mark.parametrize("timestamp", [-1, 2**62])
def test_a_record_of_an_impossible_time_becomes_a_letter_in_both_encodings(
    intake, timestamp
):
    one = record(b"?")
    one.timestamp = timestamp
    with pytest.raises(ScoringError) as raised:
        intake.check(one)
    for content_type in (PROTOBUF, "application/json"):
        letter_record(one, raised.value, topic="dead", content_type=content_type)


@pytest.mark.parametrize(
    "name", ["x-datadog-trace-id", "X-Datadog-Parent-Id", "traceparent", "b3"]
)
def test_ids_of_tracing_systems_are_not_looked_at(intake, name):
    one = record(good(), headers=(*DECLARED, (name, b"4111111111111111")))
    assert intake.check(one).transaction.id == "t1"


def test_the_fingerprint_beside_a_letter_tells_no_card_number():
    one, other = record(b"pan " + PAN.encode()), record(b"pan 5555555555554444")
    assert fingerprint(one, of_letter=True) == fingerprint(other, of_letter=True)
    assert fingerprint(record(b"a"), of_letter=True) == fingerprint(record(b"a"))
