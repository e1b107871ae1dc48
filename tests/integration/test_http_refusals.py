"""What the HTTP door refuses, and how precisely: the same as gRPC, in HTTP's words."""

import asyncio
import gzip
import json
from http import HTTPStatus

import pytest
from grpc_parts import label, payment, status_of
from http_parts import message, open_doors, read_reply, said
from tokens import KEYS, MAIN, token_settings

from scoring.doors.http.problems import Problem
from scoring.errors import LogUnavailable
from scoring.stores.memory.log import MemoryLog
from scoring.wiring.services import now_ms


@pytest.fixture
async def door(model_dir):
    async with open_doors(model_dir) as door:
        yield door


def changed(**fields):
    """A payment's JSON with other fields."""
    return {**said(payment()), **fields}


def deep(depth=2_000):
    return b'{"location":' * depth + b"1" + b"}" * depth


ODD_BODIES = {
    "is empty": (b"", ""),
    "is no JSON": (b"{", ""),
    "is a list": (b"[]", ""),
    "is a number": (b"7", ""),
    "is not UTF-8": (b'{"id": "\xff"}', ""),
    "is UTF-16": ('{"id": "t"}'.encode("utf-16"), ""),
    "nests too deep": (deep(), ""),
    "says a field twice": (b'{"id": "a", "id": "b"}', "id"),
    "says a field under both its names": (
        b'{"amountMinor": 1, "amount_minor": 1}',
        "amount_minor",
    ),
    "says a field that there is not": (changed(colour="red"), "colour"),
    "says an amount that is not a number": (
        changed(amountMinor=float("nan")),
        "amount_minor",
    ),
    "says an amount of 5,000 digits": (
        b'{"amountMinor": ' + b"9" * 5_000 + b"}",
        "",
    ),
    "says an amount beyond 64 bits": (changed(amountMinor="9" * 30), "amount_minor"),
    "says half a character": (b'{"id": "\\ud800"}', "id"),
    "says no time": (changed(occurredAt="yesterday"), "occurred_at"),
    "says a time to come": (changed(occurredAt="2999-01-01T00:00:00Z"), "occurred_at"),
    "says no id": (changed(id=""), "id"),
    "says a currency that is none": (changed(currency="XX"), "currency"),
    "says a card number": (changed(card="4111111111111111"), "card"),
    "says a latitude that is no number": (
        changed(location={"latitude": "NaN", "longitude": 1}),
        "location.latitude",
    ),
}


@pytest.mark.parametrize("which", ODD_BODIES)
async def test_a_body_is_refused_that(door, which):
    body, field = ODD_BODIES[which]
    kind = "card-number" if which.endswith("card number") else "invalid"
    assert (await door.post("/v1/checks", body)).refusal == (400, kind, field)


ODD_REQUESTS = {
    "POST /v1/check": (404, "no-route", ""),
    "POST /v1/decisions//explanation": (404, "no-route", ""),
    "GET /v1/decisions/": (404, "no-route", ""),
    "GET /v1/checks": (405, "method-not-allowed", ""),
    "DELETE /v1/decisions/t-1": (405, "method-not-allowed", ""),
    "OPTIONS /v1/labels": (405, "method-not-allowed", ""),
    "GET /v1/decisions/t-none": (404, "not-found", "transaction_id"),
    "GET /v1/decisions/t-none/explanation": (404, "not-found", "transaction_id"),
    "GET /v1/decisions/%ff": (400, "invalid", "transaction_id"),
    "GET /v1/decisions/4111111111111111": (400, "card-number", "transaction_id"),
    "GET /v1/decisions/t?tenant=a+b": (400, "invalid", "tenant"),
    "GET /v1/decisions/t?tenant=a&tenant=a": (400, "invalid", "tenant"),
    "GET /v1/decisions/t?colour=red": (400, "invalid", "colour"),
    "GET /v1/decisions/t?%ff=1": (400, "invalid", "query"),
}


@pytest.mark.parametrize("line", ODD_REQUESTS)
async def test_a_request_is_refused(door, line):
    verb, path = line.split()
    assert (await door.raw(message(verb, path))).refusal == ODD_REQUESTS[line]


async def test_a_path_says_which_verbs_it_has(door):
    assert (await door.get("/v1/checks")).headers["allow"] == "POST"
    reply = await door.raw(message("PUT", "/v1/health"))
    assert reply.headers["allow"] == "GET, HEAD"


async def test_what_get_answers_head_announces(door):
    whole = await door.get("/openapi.json")
    head = await door.raw(message("HEAD", "/openapi.json"))
    assert head.status == 200
    assert int(head.headers["content-length"]) == len(whole.body)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
    ],
)
async def test_another_content_type_is_refused_and_the_right_one_named(
    door, content_type
):
    reply = await door.check(payment(), content_type=content_type)
    assert reply.refusal == (415, "unsupported-media-type", "")
    assert reply.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    "content_type", ["Application/JSON", 'application/json;charset="UTF-8"']
)
async def test_json_by_any_of_its_names_is_taken(door, content_type):
    assert (await door.check(payment(), content_type=content_type)).status == 200


async def test_a_compressed_body_is_not_inflated(door):
    bomb = gzip.compress(b" " * 1_000_000)
    reply = await door.post("/v1/checks", bomb, content_encoding="gzip")
    assert reply.refusal == (415, "unsupported-media-type", "")
    assert reply.headers["accept-encoding"] == "identity"


async def test_a_body_beyond_the_limit_is_refused_before_it_is_read(door):
    announced = message("POST", "/v1/checks", b"", content_length="262145")
    reply = await door.raw(announced)
    assert reply.refusal == (413, "too-large", "")
    assert reply.headers["connection"] == "close"


async def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(door):
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    head = message("POST", "/v1/checks", b"", content_length="")
    head = head.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")
    async with door.connected() as (reader, writer):
        writer.write(head + chunk * 9)
        async with asyncio.timeout(10):
            assert (await read_reply(reader)).refusal == (413, "too-large", "")
            assert await reader.read() == b""


async def test_another_payload_under_a_known_id_is_a_conflict(door):
    sent = payment()
    await door.check(sent)
    sent.amount_minor += 1
    reply = await door.check(sent)
    assert reply.refusal == (409, "conflict", "id")
    assert "amount_minor" in reply.json["detail"]
    status, field, told = await status_of(door.grpc.check(sent))
    assert (status.name, field, told) == ("ALREADY_EXISTS", "id", reply.json["detail"])


async def test_a_time_that_is_over_is_a_gateway_timeout(door):
    reply = await door.check(payment(), x_timeout_ms="0")
    assert reply.refusal == (504, "deadline-exceeded", "")


@pytest.mark.parametrize("said_ms", ["soon", "-1", "1.5", "9" * 10])
async def test_a_time_that_is_none_is_refused_by_its_header(door, said_ms):
    reply = await door.check(payment(), x_timeout_ms=said_ms)
    assert reply.refusal == (400, "invalid", "x-timeout-ms")


@pytest.mark.parametrize("name", ["x_timeout_ms", "x_envoy_expected_rq_timeout_ms"])
async def test_a_caller_s_time_bounds_what_the_budget_allows(model_dir, name):
    async with open_doors(model_dir, budget_ms=30_000) as door:
        door.grpc.log_is_away()
        began = now_ms()
        reply = await door.check(payment(), **{name: "200"})
    assert reply.refusal == (504, "deadline-exceeded", "")
    assert now_ms() - began < 5_000


async def test_without_a_header_the_configured_budget_ends_a_check(model_dir):
    async with open_doors(model_dir, budget_ms=100) as door:
        door.grpc.log_is_away()
        assert (await door.check(payment())).refusal[0] == 504


async def test_overload_says_when_to_come_again(model_dir):
    async with open_doors(model_dir, grpc_checks_max=1, budget_ms=2_000) as door:
        door.grpc.log_is_away()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(door.check(payment()))
            await asyncio.sleep(0.3)
            reply = await door.check(payment())
        assert first.result().status == 504
    assert reply.refusal == (429, "overloaded", "")
    after_ms = reply.json["retryAfterMs"]
    assert after_ms > 0
    assert int(reply.headers["retry-after"]) == -(-after_ms // 1_000)


class SilentLog(MemoryLog):
    """A log whose brokers do not answer."""

    async def append(self, _records):
        raise LogUnavailable("kafka-7.internal:9092")


async def test_a_log_that_is_unavailable_is_told_without_its_address(model_dir):
    async with open_doors(model_dir, log=SilentLog()) as door:
        reply = await door.post("/v1/labels", {"labels": [said(label("t-1"))]})
    assert reply.refusal == (503, "unavailable", "")
    assert "internal" not in reply.json["detail"]


async def test_what_nobody_foresaw_is_logged_and_not_described(door, caplog):
    async def broken(*_):
        raise RuntimeError("card " + "1" * 16)

    door.grpc.dispatcher.decider.publish = broken
    reply = await door.check(payment())
    assert reply.refusal == (500, "internal", "")
    assert "1" * 16 not in caplog.text + reply.body.decode()
    assert "unexpected RuntimeError" in caplog.text


async def test_a_caller_is_known_by_its_token(model_dir, tmp_path):
    settings = token_settings(tmp_path, *KEYS.values())
    async with open_doors(model_dir, **settings) as door:
        bare = await door.check(payment())
        wrong = await door.check(payment(), authorization="Bearer a.b.c")
        bearer = f"Bearer {MAIN.token()}"
        known = await door.check(payment(), authorization=bearer)
        stranger = f"Bearer {MAIN.token(sub='nobody')}"
        denied = await door.check(payment(), authorization=stranger)
        health = await door.get("/v1/health")
    assert bare.refusal == wrong.refusal == (401, "unauthenticated", "")
    assert bare.headers["www-authenticate"] == "Bearer"
    assert known.status == 200
    assert denied.refusal == (403, "denied", "")
    assert health.status == 200


async def test_a_stranger_s_body_is_not_read(model_dir, tmp_path):
    settings = token_settings(tmp_path, *KEYS.values())
    async with open_doors(model_dir, **settings) as door:
        unsent = message("POST", "/v1/labels", b"", content_length="4000000")
        assert (await door.raw(unsent)).refusal == (401, "unauthenticated", "")


def test_every_problem_is_one_json_object():
    odd = Problem(HTTPStatus.CONFLICT, "conflict", "Conflict", 'a "quote" ☃')
    assert json.loads(odd.body())["detail"] == 'a "quote" ☃'
