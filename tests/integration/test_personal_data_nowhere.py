"""Personal data goes where payments are kept, and nowhere else.

Markers are planted in every personal field, alone and in bad company, through each door
that takes payments. They are searched for in everything that is logged, measured and
answered. A dead letter's value is its input, byte for byte: docs/topics.md says why.
"""

import logging
from types import SimpleNamespace

import pytest
from google.protobuf import json_format
from grpc_parts import payment, request
from http_parts import open_doors
from prometheus_client import CollectorRegistry, generate_latest

from scoring import wire
from scoring.core.transaction.transaction import PERSONAL_FIELDS
from scoring.doors.stream.dead_letters import letter_record
from scoring.doors.stream.records import KafkaIntake
from scoring.errors import ScoringError
from scoring.telemetry.prometheus import PrometheusTelemetry
from scoring.v1.transaction_pb2 import DeadLetter
from scoring.wiring.services import now_ms

MARK = "zzmarkzz"
GOOD = {
    "email": f"{MARK}@{MARK}.example", "phone": f"tok-{MARK}", "ip": "198.51.100.213",
    "session": f"s-{MARK}", "billing_address": f"{MARK} street 5",
    "billing_postal_code": "ZZMARKZZ", "shipping_address": f"{MARK} road 9",
    "shipping_postal_code": "ZZMARKZZ", "payer_account": f"acct-{MARK}",
    "payee_account": f"acct-{MARK}", "attributes": {MARK: f"v-{MARK}"},
}  # fmt: skip
# What is refused for the field itself.
BAD = {
    **{name: f"{MARK}{'y' * 300}" for name in GOOD if name != "attributes"},
    "email": f"{MARK}@", "ip": f"198.51.100.213/{MARK}",
    "phone": "0198 51100213", "attributes": {"k": MARK * 99},
}  # fmt: skip
# No payment at all.
ODD = (
    '{"email": ["@@"]}', '{"ip": {"@@": 1}}', '{"rail": "@@"}', '{"rail": "RAIL_@@"}',
    '{"occurredAt": "@@"}', '{"amountMinor": "@@"}', '{"numbers": {"k": "@@"}}',
    '{"numbers": "@@"}', '{"attributes": ["@@"]}',
    '{"phone": "@@", "phone": "@@"}', '"@@"',
)  # fmt: skip
SEARCHED = (MARK, MARK.upper(), "198.51.100.213", "0198 51100213", "198.51.100.0")


def assert_nowhere(*told: object) -> None:
    for one in told:
        text = one.decode(errors="replace") if isinstance(one, bytes) else str(one)
        for marker in SEARCHED:
            assert marker not in text, text[:2_000]


def tried():
    """Good input; what is refused for another field; and for each field itself."""
    yield "good", payment(**GOOD)
    yield "of another", payment(**{**GOOD, "currency": "XXQ"})
    yield "conflict", payment("t-one", **GOOD)
    yield "conflict", payment("t-one", **{**GOOD, "session": f"other-{MARK}"})
    yield "of another", payment(**GOOD, bin="12")
    for name, wrong in BAD.items():
        yield name, payment(**{**GOOD, name: wrong})


def records_of(message):
    """A payment as records have it: whole, cut, and with a name that is not ours."""
    raw, text = message.SerializeToString(), json_format.MessageToJson(message)
    return raw, raw[:-3], text.encode()[:-9], text.replace("email", "e_mail").encode()


def test_every_personal_field_is_tried():
    assert set(GOOD) == set(BAD) == set(PERSONAL_FIELDS)


@pytest.fixture
async def doors(model_dir):
    async with open_doors(model_dir) as doors:
        yield doors


async def test_calls_over_grpc_and_http_repeat_nothing(doors, caplog):
    caplog.set_level(logging.DEBUG)
    refused = 0
    for _, message in tried():
        call = doors.grpc.raw("CheckTransaction")(
            request(message).SerializeToString(), timeout=5
        )
        assert_nowhere(await call.details(), await call.trailing_metadata())
        refused += bool(await call.details())
        body = json_format.MessageToJson(message).encode()
        reply = await doors.post("/v1/checks", body)
        assert_nowhere(reply.headers, reply.body)
        for broken in (body[:-20], body.replace(b'"currency"', b'"curency"')):
            reply = await doors.post("/v1/checks", broken)
            assert reply.status == 400
            assert_nowhere(reply.headers, reply.body)
    for odd in ODD:
        reply = await doors.post("/v1/checks", odd.replace("@@", MARK).encode())
        assert reply.status == 400
        assert_nowhere(reply.headers, reply.body)
    assert refused > len(BAD)
    assert_nowhere(caplog.text)


def test_records_of_the_stream_repeat_nothing_but_the_value_of_a_letter(caplog):
    caplog.set_level(logging.DEBUG)
    registry = CollectorRegistry()
    intake = KafkaIntake(
        message_bytes_max=10_000, skew_ms=300_000, exempt=frozenset(),
        telemetry=PrometheusTelemetry(registry),
    )  # fmt: skip
    letters = 0
    odd = [text.replace("@@", MARK).encode() for text in ODD]
    for values in (*(records_of(message) for _, message in tried()), odd):
        for value in values:
            one = SimpleNamespace(
                topic="transactions", partition=0, offset=7, timestamp=now_ms(),
                key=None, value=value, headers=(),
            )  # fmt: skip
            try:
                intake.check(one)
            except ScoringError as error:
                assert_nowhere(error)
                written = letter_record(
                    one, error, topic="dead", content_type=wire.PROTOBUF
                )
                letter = DeadLetter.FromString(written.value)
                assert_nowhere(letter.field, letter.message, written.headers)
                letters += 1
    assert letters > len(BAD)
    assert_nowhere(caplog.text, generate_latest(registry))
