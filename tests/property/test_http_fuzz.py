"""Hostile requests on every route: a precise problem, as gRPC says it, and no more."""

import asyncio
import json
from urllib.parse import quote

import pytest
from fuzzing import MESSAGES, tried
from grpc_parts import at, event, fresh_id, label, payment
from http_documented import undocumented
from http_parts import Reply, message, open_doors, said
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.transaction.transaction import FIELDS
from scoring.errors import InvalidTransaction
from scoring.v1.transaction_pb2 import Transaction
from scoring.wire.json_text import message_from_json
from scoring.wire.routes import ROUTES
from scoring.wiring.services import now_ms

pytestmark = pytest.mark.timeout(3_600)
PAN = "4111111111111111"
NOW_MS = now_ms()
POSTED = [route for route in ROUTES if route.body]
LOOKED_UP = [route for route in ROUTES if not route.body]

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
def test_any_body_gets_what_the_document_promises(doors, loop, route, data):
    raw = data.draw(hostile(route))
    reply = loop.run_until_complete(doors.post(route.path, raw))
    assert reply.status < 500
    assert not undocumented(reply, route.verb, route.path), raw


@tried(MESSAGES)
@given(
    id_=texts,
    query=st.lists(st.tuples(st.sampled_from(["tenant", "x", ""]) | texts, texts)),
    route=st.sampled_from(LOOKED_UP),
)
def test_any_id_and_query_get_what_the_document_promises(
    doors, loop, id_, query, route
):
    path = route.path.format(transaction_id=quote(id_, safe=""))
    asked = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query)
    reply = loop.run_until_complete(doors.get(f"{path}?{asked}"))
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


async def answer_or_end(doors, raw):
    """The reply to bytes; None where the connection ends without one."""
    async with doors.connected() as (reader, writer):
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
def test_any_bytes_on_a_connection_do_no_harm(doors, loop, raw):
    reply = loop.run_until_complete(answer_or_end(doors, raw))
    if reply is not None and reply.status != 200:
        # 505 is of the version, 501 of a transfer coding: neither is a call.
        assert reply.status < 500 or reply.status in {501, 505}, raw
    healthy = loop.run_until_complete(doors.get("/v1/health"))
    assert not undocumented(healthy, "get", "/v1/health")


def refusal_of_json(raw):
    """What the stream door says of a transaction's JSON; None where it reads it."""
    try:
        message_from_json(raw, Transaction)
    except InvalidTransaction as error:
        return error
    return None


@tried(MESSAGES)
@given(raw=st.one_of(spoilt_texts(ROUTES[0]), spoilt_values(ROUTES[0])))
def test_http_says_of_json_what_the_stream_door_says(doors, loop, raw):
    """One parser reads both: what it refuses, HTTP refuses in its words."""
    reply = loop.run_until_complete(doors.post("/v1/checks", raw))
    if (error := refusal_of_json(raw)) is not None:
        assert reply.status == 400
        assert reply.json["detail"] == str(error)
        assert reply.json.get("field", "") == error.field


async def test_a_card_number_is_refused_wherever_a_request_may_hold_one(model_dir):
    one = said(payment())
    async with open_doors(model_dir) as doors:
        replies = [
            await doors.post("/v1/checks", one | {"attributes": {PAN: "x"}}),
            await doors.post("/v1/checks", one | {"attributes": {"x": PAN}}),
            await doors.post("/v1/checks", one | {PAN: "x"}),
            await doors.post("/v1/checks", one | {"channel": PAN}),
            await doors.post(f"/v1/checks?{PAN}=x", one),
            await doors.post(f"/v1/checks?dry_run={PAN}", one),
            await doors.post("/v1/checks", one, x_timeout_ms=PAN),
            await doors.post(f"/v1/checks/{PAN}", one),
            await doors.get(f"/v1/decisions/{PAN}"),
            await doors.get(f"/v1/decisions/{PAN}/explanation"),
            await doors.get(f"/v1/decisions/t-1?tenant={PAN}"),
        ]
    for reply in replies:
        assert 400 <= reply.status < 500, reply
        assert PAN.encode() not in reply.body


async def test_a_card_number_in_a_list_spoils_its_own_item_alone(model_dir):
    good, bad = said(payment()), said(payment(card=PAN))
    marked = said(label(fresh_id())) | {"transactionId": PAN}
    coded = said(event(fresh_id())) | {"eventId": PAN}
    async with open_doors(model_dir) as doors:
        batch = await doors.post("/v1/checks:batch", {"transactions": [good, bad]})
        labels = await doors.post("/v1/labels", {"labels": [marked]})
        events = await doors.post("/v1/events", {"events": [coded]})
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
def test_a_value_of_another_type_is_refused_by_the_contracts_name(doors, loop, field):
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
    reply = loop.run_until_complete(doors.post("/v1/checks", sent))
    assert reply.status == 400
    assert reply.json["field"] == field.path
