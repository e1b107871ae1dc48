"""A card number anywhere in the contract is refused by its place, and written nowhere.

The places are read from the messages themselves: a field, a method or a map that is
added is tried without a word here.
"""

import asyncio
import logging
import unicodedata
from dataclasses import replace
from types import SimpleNamespace

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_parts import SERVICE, event, label, open_door, payment, status_of

from scoring import wire
from scoring.core.transaction.trace_context import TRACE_HEADERS
from scoring.core.transaction.transaction import FIELDS
from scoring.doors.stream.dead_letters import is_refusal, letter_record
from scoring.doors.stream.records import KafkaIntake
from scoring.errors import ScoringError
from scoring.stores.memory.log import MemoryLog
from scoring.telemetry.prometheus import SilentTelemetry
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.transaction_pb2 import (
    DeadLetter,
    Label,
    LifecycleEvent,
    Transaction,
)
from scoring.wiring.services import now_ms

NUMBER = "4539578763621486"
GUISES = (
    NUMBER,
    "4539 5787 6362 1486",
    "4539-5787.6362_1486",
    "4539/5787/6362/1486",
    "4539\u00a05787\u00a06362\u00a01486",
    f"pay_{NUMBER}_eu",
    f"x{NUMBER}",
    f"{NUMBER} 12/25",
    "".join(chr(ord(digit) + 0xFEE0) for digit in NUMBER),
    "%34" + NUMBER[1:],
    "\\u0034" + NUMBER[1:],
)
METHODS = calls.DESCRIPTOR.services_by_name["FraudScoring"].methods


def whole(kind):
    """A message that is accepted as it is, or would be if it named what is there."""
    if kind is Transaction:
        return payment(attributes={"key": "value"})
    if kind is Label:
        return label("t-one", transaction=payment("t-one"))
    if kind is LifecycleEvent:
        return event("t-one", transaction=payment("t-one"))
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if field.message_type is not None:
            own = getattr(message, field.name)
            inner = whole(GetMessageClass(field.message_type))
            own.append(inner) if field.is_repeated else own.CopyFrom(inner)
        elif field.name == "transaction_id":
            message.transaction_id = "t-one"
    return message


def places(descriptor):
    """Every text of a message: its path, and what writes another one there."""
    for field in descriptor.fields:
        inner, name = field.message_type, field.name
        if inner is not None and inner.GetOptions().map_entry:
            texts = inner.fields_by_name["value"].type == FieldDescriptor.TYPE_STRING
            yield (
                f"{name}.key",
                lambda m, text, n=name, v="" if texts else 0.0: getattr(m, n).update(
                    {text: v}
                ),
            )
            if texts:
                yield name, lambda m, text, n=name: getattr(m, n).update({"key": text})
        elif inner is not None and inner.file.package == descriptor.file.package:
            for path, plant in places(inner):
                yield f"{name}.{path}", within(name, plant, many=field.is_repeated)
        elif field.type == FieldDescriptor.TYPE_STRING:
            yield name, lambda m, text, n=name: setattr(m, n, text)


def within(name, plant, *, many):
    def planted(message, text):
        own = getattr(message, name)
        plant(own[0] if many else own, text)

    return planted


def guilty(path: str) -> str:
    """What a refusal calls a place."""
    return path.removesuffix(".key").split(".")[-1]


def digits(told) -> str:
    """All digits of a text or bytes, of whatever script, and nothing between them."""
    text = told if isinstance(told, str) else bytes(told).decode(errors="replace")
    return "".join(str(unicodedata.decimal(c)) for c in text if c.isdecimal())


def assert_nowhere(*told) -> None:
    for one in told:
        assert NUMBER not in digits(one), one
        assert NUMBER[1:] not in digits(one), one


def test_the_places_are_all_fields_of_the_declaration():
    tried = {path.split(".")[0] for path, _ in places(Transaction.DESCRIPTOR)}
    assert tried == {f.path for f in FIELDS if f.is_text or f.is_map}


# The gRPC door -------------------------------------------------------------------


@pytest.fixture
async def log():
    return MemoryLog()


@pytest.fixture
async def door(model_dir, log):
    async with open_door(model_dir, log=log) as door:
        yield door


TRIED_BY_CALLS = [
    pytest.param(method, (path, plant), id=f"{method.name}-{path}")
    for method in METHODS
    for path, plant in places(method.input_type)
]


async def refusal(door, method, raw):
    """The field that a call is refused for, and everything that the caller is told."""
    kind = GetMessageClass(method.output_type)
    if method.client_streaming:
        call = door.channel.stream_stream(SERVICE + method.name)
        reply = await anext(aiter(call(iter([raw]), timeout=5)))
    else:
        call = door.raw(method.name)(raw, timeout=5)
        if await call.code() is not grpc.StatusCode.OK:
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
            trailing = dict(await call.trailing_metadata())
            return trailing["scoring-field"], [await call.details(), str(trailing)]
        reply = await call
    message = kind.FromString(reply)
    result = message.result if method.client_streaming else message.results[0]
    assert result.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0], result
    return result.error.field, [reply, str(message)]


@pytest.mark.parametrize(("method", "place"), TRIED_BY_CALLS)
async def test_a_call_refuses_it_by_its_field_and_repeats_it_nowhere(
    door, log, caplog, method, place
):
    path, plant = place
    caplog.set_level(logging.DEBUG)
    for guise in GUISES:
        message = whole(GetMessageClass(method.input_type))
        plant(message, guise)
        field, told = await refusal(door, method, message.SerializeToString())
        assert field.split(".")[-1] == guilty(path), (guise, field)
        assert_nowhere(*told)
    await asyncio.sleep(0)
    assert_nowhere(caplog.text)
    assert not log.records


@pytest.mark.parametrize("name", ["x-card", "traceparent", "user-agent", "x-card-bin"])
async def test_metadata_of_a_call_reaches_nothing_that_is_written(
    door, log, caplog, name
):
    caplog.set_level(logging.DEBUG)
    sent = NUMBER.encode() if name.endswith("-bin") else NUMBER
    request = calls.CheckTransactionRequest(transaction=payment())
    reply = await door.raw("CheckTransaction")(
        request.SerializeToString(), timeout=5, metadata=((name, sent),)
    )
    assert_nowhere(reply, caplog.text)
    for record in log.records:
        assert_nowhere(record.key or b"", record.value, str(record.headers))


async def test_bytes_that_are_no_message_are_refused_without_being_repeated(door):
    for method in METHODS:
        if not method.client_streaming:
            code, field, message = await status_of(
                door.raw(method.name)(b"\xff" + NUMBER.encode(), timeout=5)
            )
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert_nowhere(field, message)


# The stream door -----------------------------------------------------------------

INTAKE = KafkaIntake(
    message_bytes_max=10_000,
    skew_ms=300_000,
    exempt=frozenset(),
    telemetry=SilentTelemetry(),
)
ADMITTED = {Transaction: INTAKE.check, Label: INTAKE.label}


def record(value, *, key=None, headers=()):
    return SimpleNamespace(
        topic="transactions", partition=0, offset=7, timestamp=now_ms(),
        key=key, value=value, headers=headers,
    )  # fmt: skip


def letters_of(kind, one):
    """Both forms of the letter that answers a record."""
    with pytest.raises(ScoringError) as refused:
        ADMITTED[kind](one)
    assert is_refusal(refused.value)
    assert_nowhere(str(refused.value))
    for content_type in (wire.PROTOBUF, wire.JSON):
        yield letter_record(one, refused.value, topic="dead", content_type=content_type)


def assert_told(kind, one, field=None):
    plain, text = letters_of(kind, one)
    letter = DeadLetter.FromString(plain.value)
    assert json_format.Parse(text.value, DeadLetter()) == letter
    if field is not None:
        assert letter.field.split(".")[-1] == field
    for written in (plain, text):
        assert_nowhere(written.key or b"", str(written.headers))
    assert_nowhere(plain.value)
    assert_nowhere(
        letter.field, letter.message, letter.key, letter.value, str(letter.headers)
    )


TRIED_BY_RECORDS = [
    pytest.param(kind, path, plant, id=f"{kind.DESCRIPTOR.name}-{path}")
    for kind in ADMITTED
    for path, plant in places(kind.DESCRIPTOR)
]


@pytest.mark.parametrize(("kind", "path", "plant"), TRIED_BY_RECORDS)
def test_a_record_becomes_a_letter_without_it_that_names_its_field(kind, path, plant):
    for guise in GUISES:
        message = whole(kind)
        plant(message, guise)
        for raw in (
            message.SerializeToString(),
            json_format.MessageToJson(message).encode(),
        ):
            assert_told(kind, record(raw), guilty(path))


@pytest.mark.parametrize("kind", ADMITTED)
@pytest.mark.parametrize("guise", GUISES)
def test_a_record_with_one_in_its_key_or_headers_becomes_a_letter_without_it(
    kind, guise
):
    raw = whole(kind).SerializeToString()
    bare = label("t-one").SerializeToString() if kind is Label else raw
    for value in (raw, bare):
        assert_told(kind, record(value, key=guise.encode()), "key")
        for header in ((guise, b"x"), ("x-card", guise.encode())):
            assert_told(kind, record(value, headers=(header,)), "headers")
        typed = (("content-type", guise.encode()),)
        assert_told(kind, record(value, headers=typed))


ODD = (
    '{{"card_{n}": 1}}',
    '{{"n{n}": 1, "n{n}": 2}}',
    '{{"{n}": 1}}',
    '{{"location": {{"lat_{n}": 1}}}}',
    '{{"channel": "{n}"}}',
    '{{"channel": "CHANNEL_{n}"}}',
    '{{"amountMinor": "{n}x"}}',
    '{{"amountMinor": {n}}}',
    '{{"occurredAt": "{n}"}}',
    '{{"occurredAt": {n}}}',
    '{{"location": {{"latitude": {n}, "longitude": 1}}}}',
    '{{"attributes": {{"{n}": 5}}}}',
    '{{"attributes": {{"k_{n}": ["x"]}}}}',
    '{{"attributes": ["{n}"]}}',
    '{{"card": {n}}}',
    '{{"card": ["{n}"]}}',
    '["{n}"]',
    '"{n}"',
    '{{"card": "{n}"',
    "card={n}",
)


@pytest.mark.parametrize("kind", ADMITTED)
@pytest.mark.parametrize("odd", ODD)
def test_json_that_is_none_of_ours_becomes_a_letter_without_it(kind, odd):
    known = (("content-type", wire.JSON.encode()),)
    for headers in ((), known):
        value = odd.format(n=NUMBER).encode()
        assert_told(kind, record(value, headers=headers))


def test_a_key_that_is_cut_to_be_named_ends_in_no_number():
    key = f"{'x' * 48}{NUMBER}{'0' * 20}"  # of 36 digits in a row, which are none
    one = whole(Transaction)
    one.attributes[key] = ""
    assert_nowhere(letter_field(one))


def letter_field(message) -> str:
    with pytest.raises(ScoringError) as refused:
        INTAKE.check(record(message.SerializeToString()))
    return f"{refused.value.field} {refused.value}"


@pytest.mark.parametrize("name", sorted(TRACE_HEADERS))
def test_a_trace_header_is_kept_as_a_trace_and_makes_no_card_number(name):
    # Long decimal numbers that tracing systems made up; see docs on card numbers.
    one = record(
        whole(Transaction).SerializeToString(), headers=((name, NUMBER.encode()),)
    )
    assert INTAKE.check(one).traceparent == ""


def test_the_key_of_a_label_by_its_id_may_be_a_token_of_plain_digits_where_cards_are():
    one = record(label("t-one").SerializeToString(), key=NUMBER.encode())
    assert replace(INTAKE, exempt=frozenset({"card"})).label(one).transaction is None
