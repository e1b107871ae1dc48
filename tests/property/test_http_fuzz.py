"""Hostile requests on every route: a precise problem, as gRPC says it, and no more."""

import asyncio
import json
from urllib.parse import quote

import grpc
import pytest
from fuzzing import MESSAGES, tried
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_parts import at, event, fresh_id, label, payment
from http_documented import undocumented
from http_parts import Reply, message, open_doors, said
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.transaction.fields import FieldType
from scoring.core.transaction.transaction import FIELDS
from scoring.doors.calls.refusals import KINDS
from scoring.errors import InvalidTransaction
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.transaction_pb2 import Transaction
from scoring.wire.json_text import message_from_json
from scoring.wire.routes import ROUTES
from scoring.wiring.services import now_ms

pytestmark = pytest.mark.timeout(3_600)
PAN = "4111111111111111"
NOW_MS = now_ms()
POSTED = [route for route in ROUTES if route.body]
LOOKED_UP = [route for route in ROUTES if not route.body]
# The statuses of HTTP and gRPC that mean the same.
SAME = {kind.status.value: kind.code for kind in KINDS.values()}

texts = st.text(max_size=200)
numbers = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.integers(-5, 5), st.just(10**400)
)
ids = st.text("ghijklmnop", min_size=12, max_size=12)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.close()


@pytest.fixture(scope="module")
def door(loop, model_dir):
    opened = open_doors(model_dir)
    yield loop.run_until_complete(opened.__aenter__())
    loop.run_until_complete(opened.__aexit__(None, None, None))


def a_body(route, id_):
    """A body that the route takes, as JSON has it; the same whenever it is made."""
    one = said(payment(id_, at_ms=NOW_MS))
    return {
        "CheckTransaction": one,
        "BatchCheckTransactions": {"transactions": [one]},
        "ReportLabels": {"labels": [said(label(id_, known_at=at(NOW_MS)))]},
        "ReportEvents": {"events": [said(event(id_, occurred_at=at(NOW_MS)))]},
    }[route.rpc]


def places(value, path=()):
    """Every place within a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, within in inner:
        yield from places(within, (*path, key))


def with_value(value, path, new):
    """The same with another value in one place."""
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = with_value(changed[path[0]], path[1:], new)
    return changed


@st.composite
def spoilt_values(draw, route):
    """A good body with a value of any type in one place, perhaps a name more."""
    body = a_body(route, draw(ids))
    place = draw(st.sampled_from(list(places(body))))
    spoilt = with_value(body, place, draw(values))
    if isinstance(spoilt, dict) and draw(st.booleans()):
        spoilt[draw(texts)] = draw(values)
    return json.dumps(spoilt).encode()


@st.composite
def spoilt_texts(draw, route):
    """A good body with a few bytes changed, cut out or put in."""
    raw = bytearray(json.dumps(a_body(route, draw(ids))).encode())
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        kind = draw(st.sampled_from("xcid"))
        if kind == "x" and raw:
            raw[at] = draw(st.integers(0, 255))
        elif kind == "c":
            del raw[at : at + draw(st.integers(1, 20))]
        elif kind == "d":  # said twice, or nested deeper
            raw[at:at] = raw[at : at + draw(st.integers(1, 60))]
        else:
            raw[at:at] = draw(st.binary(max_size=20))
    return bytes(raw)


def hostile(route):
    deep = st.integers(1, 3_000).map(lambda n: b"[" * n + b"]" * n)
    return st.one_of(
        st.binary(max_size=500), spoilt_texts(route), spoilt_values(route), deep
    )


@pytest.mark.parametrize("route", POSTED, ids=lambda route: route.rpc)
@tried(MESSAGES)
@given(data=st.data())
def test_any_body_gets_what_the_document_promises(door, loop, route, data):
    raw = data.draw(hostile(route))
    reply = loop.run_until_complete(door.post(route.path, raw))
    assert reply.status < 500
    assert not undocumented(reply, route.verb, route.path), raw


@tried(MESSAGES)
@given(
    id_=texts,
    query=st.lists(st.tuples(st.sampled_from(["tenant", "x", ""]) | texts, texts)),
    route=st.sampled_from(LOOKED_UP),
)
def test_any_id_and_query_get_what_the_document_promises(door, loop, id_, query, route):
    path = route.path.format(transaction_id=quote(id_, safe=""))
    asked = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query)
    reply = loop.run_until_complete(door.get(f"{path}?{asked}"))
    assert reply.status < 500
    of = (route.verb, route.path) if id_ else ("", "")
    assert not undocumented(reply, *of), (id_, query)


@st.composite
def spoilt_requests(draw):
    """A whole request with bytes of its head changed."""
    route = draw(st.sampled_from(ROUTES))
    body = json.dumps(a_body(route, draw(ids))).encode() if route.body else None
    raw = bytearray(message(route.verb.upper(), route.path, body, x_timeout_ms="2000"))
    end = raw.index(b"\r\n\r\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, end - 1))
        raw[at] = draw(st.integers(0, 255))
    return bytes(raw)


async def answer_or_end(door, raw):
    """The reply to bytes; None where the connection ends without one."""
    async with door.connected() as (reader, writer):
        writer.write(raw)
        writer.write_eof()
        async with asyncio.timeout(20):
            answered = await reader.read()
    if not answered:
        return None
    head, _, body = answered.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", 0))
    return Reply(int(first.split()[1]), headers, body[:length])


@tried(MESSAGES)
@given(raw=spoilt_requests())
def test_any_bytes_on_a_connection_do_no_harm(door, loop, raw):
    reply = loop.run_until_complete(answer_or_end(door, raw))
    if reply is not None and reply.status != 200:
        # 505 is of the version, 501 of a transfer coding: neither is a call.
        assert reply.status < 500 or reply.status in {501, 505}, raw
    healthy = loop.run_until_complete(door.get("/v1/health"))
    assert not undocumented(healthy, "get", "/v1/health")


floats = st.floats(allow_nan=True, allow_infinity=True)
# Times that canonical JSON can say.
times = st.builds(
    Timestamp,
    seconds=st.integers(-62_135_596_800, 253_402_300_799),
    nanos=st.integers(0, 999_999_999),
)
codes = st.sampled_from(["EUR", "eur", "DE", "UK", "5411", "05", "0", "€€€"]) | texts
OF_A_TYPE = {
    FieldType.TEXT: texts,
    FieldType.CODE: codes,
    FieldType.NAME: st.integers(-9, 9),
    FieldType.WHOLE: st.integers(0, 2**32 - 1),
    FieldType.MONEY: st.integers(-(2**63), 2**63 - 1),
    FieldType.REAL: floats,
    FieldType.INSTANT: times,
    FieldType.TEXTS: st.dictionaries(texts, texts, max_size=5),
    FieldType.NUMBERS: st.dictionaries(texts, floats, max_size=5),
}


@st.composite
def transactions(draw):
    """A good payment in which any values are in up to three fields."""
    sent = payment(draw(ids), at_ms=NOW_MS)
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        outer, _, inner = field.path.rpartition(".")
        within = getattr(sent, outer) if outer else sent
        value = draw(OF_A_TYPE[field.type])
        within.ClearField(inner)
        if field.is_map:
            getattr(within, inner).update(value)
        elif field.type is FieldType.INSTANT:
            getattr(within, inner).CopyFrom(value)
        else:
            setattr(within, inner, value)
    return sent


async def both(door, sent):
    """Of each door: its decision, or code, kind, field and words of its refusal."""
    reply = await door.check(sent)
    if reply.status == 200:
        answer = json_format.ParseDict(reply.json, calls.CheckTransactionResponse())
        answer.decision.ClearField("features")  # by name: of JSON alone
        return answer.decision, await door.grpc.check(sent)
    _, kind, field = reply.refusal
    refused = (SAME[reply.status], kind, field, reply.json["detail"])
    return refused, await refused_by_grpc(door.grpc, sent)


async def refused_by_grpc(door, sent):
    try:
        return await door.check(sent)
    except grpc.aio.AioRpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        kind = trailing["scoring-problem"]
        field = trailing.get("scoring-field", "")
        return error.code().value[0], kind, field, error.details()


@tried(MESSAGES)
@given(sent=transactions())
def test_both_doors_say_the_same_of_the_same_payment(door, loop, sent):
    through_http, through_grpc = loop.run_until_complete(both(door, sent))
    assert through_http == through_grpc


def refusal_of_json(raw):
    """What the stream door says of a transaction's JSON; None where it reads it."""
    try:
        message_from_json(raw, Transaction)
    except InvalidTransaction as error:
        return error
    return None


@tried(MESSAGES)
@given(raw=st.one_of(spoilt_texts(ROUTES[0]), spoilt_values(ROUTES[0])))
def test_http_says_of_json_what_the_stream_door_says(door, loop, raw):
    """One parser reads both: what it refuses, HTTP refuses in its words."""
    reply = loop.run_until_complete(door.post("/v1/checks", raw))
    if (error := refusal_of_json(raw)) is not None:
        assert reply.status == 400
        assert reply.json["detail"] == str(error)
        assert reply.json.get("field", "") == error.field


TEXTS = [f.path for f in FIELDS if f.is_token]


@pytest.mark.parametrize("path", TEXTS)
def test_a_card_number_is_refused_in_every_field_and_never_said_again(door, loop, path):
    sent = payment(**{path: PAN}) if path != "id" else payment(PAN)
    through_http, through_grpc = loop.run_until_complete(both(door, sent))
    assert through_http == through_grpc
    assert through_http[2] == path
    assert PAN not in through_http[3]


async def test_a_card_number_is_refused_wherever_a_request_may_hold_one(model_dir):
    one = said(payment())
    async with open_doors(model_dir) as door:
        replies = [
            await door.post("/v1/checks", one | {"attributes": {PAN: "x"}}),
            await door.post("/v1/checks", one | {"attributes": {"x": PAN}}),
            await door.post("/v1/checks", one | {PAN: "x"}),
            await door.post("/v1/checks", one | {"channel": PAN}),
            await door.post(f"/v1/checks?{PAN}=x", one),
            await door.post(f"/v1/checks?dry_run={PAN}", one),
            await door.post("/v1/checks", one, x_timeout_ms=PAN),
            await door.post(f"/v1/checks/{PAN}", one),
            await door.get(f"/v1/decisions/{PAN}"),
            await door.get(f"/v1/decisions/{PAN}/explanation"),
            await door.get(f"/v1/decisions/t-1?tenant={PAN}"),
        ]
    for reply in replies:
        assert 400 <= reply.status < 500, reply
        assert PAN.encode() not in reply.body


async def test_a_card_number_in_a_list_spoils_its_own_item_alone(model_dir):
    good, bad = said(payment()), said(payment(card=PAN))
    marked = said(label(fresh_id())) | {"transactionId": PAN}
    coded = said(event(fresh_id())) | {"eventId": PAN}
    async with open_doors(model_dir) as door:
        batch = await door.post("/v1/checks:batch", {"transactions": [good, bad]})
        labels = await door.post("/v1/labels", {"labels": [marked]})
        events = await door.post("/v1/events", {"events": [coded]})
    decided, refused = batch.json["results"]
    assert decided["decision"]["core"]["transactionId"] == good["id"]
    assert refused["error"]["field"] == "card"
    assert labels.json["results"][0]["error"]["field"] == "transaction_id"
    assert events.json["results"][0]["error"]["field"] == "event_id"
    assert PAN.encode() not in batch.body + labels.body + events.body


def wrong_value(field):
    """A value of a type that the field is not."""
    return 7 if field.is_text else "no such thing"


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.path)
def test_a_value_of_another_type_is_refused_by_the_name_that_was_sent(
    door, loop, field
):
    descriptor = Transaction.DESCRIPTOR
    names = []
    for name in field.path.split("."):
        own = descriptor.fields_by_name[name]
        names.append(own.json_name)
        descriptor = own.message_type
    wrong = wrong_value(field)
    for name in reversed(names):
        wrong = {name: wrong}
    sent = said(payment()) | wrong
    reply = loop.run_until_complete(door.post("/v1/checks", sent))
    assert reply.status == 400
    assert reply.json["field"] == ".".join(names)
