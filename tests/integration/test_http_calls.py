"""What each route of the HTTP door answers: the same as gRPC, as JSON."""

import json

import pytest
from google.protobuf import json_format
from grpc_parts import fresh_id, label, payment
from http_parts import open_doors, said

from scoring.v1 import decision_pb2
from scoring.v1 import fraud_scoring_pb2 as calls


@pytest.fixture
async def door(model_dir):
    async with open_doors(model_dir) as door:
        yield door


def decision_of(reply):
    assert reply.status == 200, reply
    message = calls.CheckTransactionResponse()
    json_format.Parse(reply.body, message)
    message.decision.ClearField("features")  # JSON alone says the vector by name
    return message.decision


async def test_a_payment_gets_its_decision_as_json(door):
    reply = await door.check(payment("t-json"))
    assert reply.headers["content-type"] == "application/json"
    decision = decision_of(reply)
    assert decision.core.transaction_id == "t-json"
    assert decision.core.outcome != decision_pb2.OUTCOME_UNSPECIFIED
    assert decision.trace.door == decision_pb2.DOOR_HTTP


async def test_a_repeat_is_answered_by_the_stored_bytes(door):
    sent = payment()
    first = await door.check(sent)
    assert (await door.check(sent)).body == first.body


async def test_a_repeat_through_the_other_door_is_the_stored_decision(door):
    sent, other = payment(), payment()
    through_http = await door.check(sent)
    assert decision_of(through_http) == await door.grpc.check(sent)
    through_grpc = await door.grpc.check(other)
    assert decision_of(await door.check(other)) == through_grpc


async def test_a_dry_run_changes_nothing(door):
    sent = payment()
    assert (await door.check(sent, "?dry_run=true")).status == 200
    assert (await door.get(f"/v1/decisions/{sent.id}")).status == 404
    assert (await door.check(sent, "?dryRun=false")).status == 200
    assert (await door.get(f"/v1/decisions/{sent.id}")).status == 200


async def test_a_recorded_decision_is_read_again(door):
    sent = payment("t/with a slash%", tenant="shop")
    first = await door.check(sent)
    path = "/v1/decisions/t%2Fwith%20a%20slash%25"
    assert (await door.get(f"{path}?tenant=shop")).body == first.body
    assert (await door.get(path)).refusal == (404, "not-found", "transaction_id")


async def test_an_explanation_is_the_one_that_grpc_gives(door):
    sent = payment()
    await door.check(sent)
    reply = await door.get(f"/v1/decisions/{sent.id}/explanation")
    assert reply.status == 200
    explained = calls.ExplainDecisionResponse()
    json_format.Parse(reply.body, explained)
    expected = await door.grpc.stub.ExplainDecision(
        calls.ExplainDecisionRequest(transaction_id=sent.id)
    )
    assert explained.contributions[0].feature == expected.contributions[0].feature
    assert explained.base == pytest.approx(expected.base)


async def test_each_payment_of_a_batch_has_its_own_result(door):
    good, odd = payment(), said(payment())
    odd["amountMinor"] = "much"
    future = payment(at_ms=4_000_000_000_000)
    reply = await door.post(
        "/v1/checks:batch", {"transactions": [said(good), odd, said(future), 7]}
    )
    assert reply.status == 200
    first, second, third, fourth = reply.json["results"]
    assert first["transactionId"] == good.id
    assert first["decision"]["core"]["transactionId"] == good.id
    assert second["error"]["code"] == 3
    assert second["error"]["field"] == "amount_minor"
    assert second["transactionId"] == odd["id"]
    assert third["error"]["field"] == "occurred_at"
    assert fourth["error"]["code"] == 3


async def test_a_batch_may_be_a_dry_run(door):
    sent = payment()
    body = {"transactions": [said(sent)], "dryRun": True}
    assert (await door.post("/v1/checks:batch", body)).status == 200
    assert (await door.get(f"/v1/decisions/{sent.id}")).status == 404


@pytest.mark.parametrize("count", [0, 1_001])
async def test_a_batch_holds_one_to_a_thousand(door, count):
    body = {"transactions": [{}] * count}
    reply = await door.post("/v1/checks:batch", body)
    assert reply.refusal == (400, "invalid", "transactions")


async def test_labels_are_taken_each_with_its_own_result(door):
    sent = payment()
    await door.check(sent)
    odd = {**said(label(sent.id)), "verdict": "VERDICT_MAYBE"}
    labels = [said(label(sent.id)), odd, said(label(sent.id, version=0))]
    reply = await door.post("/v1/labels", {"labels": labels})
    assert reply.status == 200
    first, second, third = reply.json["results"]
    assert first == {"transactionId": sent.id}
    assert second["error"]["field"] == "verdict"
    assert third["error"]["field"] == "version"


async def test_health_says_that_it_is_ready(door):
    reply = await door.get("/v1/health")
    assert reply.json["live"] is True
    assert reply.json["ready"] is True


async def test_the_caller_finds_its_request_by_what_it_sent(door):
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    reply = await door.check(payment(), x_request_id="r-7", traceparent=trace)
    assert reply.headers["x-request-id"] == "r-7"
    assert reply.headers["traceparent"] == trace
    assert reply.json["decision"]["trace"]["traceparent"] == trace


async def test_json_is_taken_as_protobuf_takes_it(door):
    id_ = fresh_id()
    sent = payment(id_)
    snake = json_format.MessageToDict(sent, preserving_proto_field_name=True)
    snake["amount_minor"] = int(snake["amount_minor"])
    first = await door.post("/v1/checks", snake)
    assert first.status == 200
    again = json.dumps(said(sent), indent=2).encode()
    assert (await door.post("/v1/checks", again)).body == first.body


async def test_the_document_of_the_door_is_served(door):
    reply = await door.get("/openapi.json")
    assert "/v1/checks" in reply.json["paths"]


async def test_features_have_their_names_and_what_is_not_known_is_null(door):
    reply = await door.check(payment())
    features = reply.json["decision"]["features"]
    catalogue = door.grpc.service.scorer.artifacts.catalogue
    assert tuple(features) == tuple(catalogue.names)
    assert None in features.values()


async def test_a_decision_is_read_with_what_became_known_since(door):
    sent = payment()
    await door.check(sent)
    event = {
        "transactionId": sent.id,
        "eventId": "e-1",
        "kind": "LIFECYCLE_KIND_ISSUER_DECLINED",
        "occurredAt": said(sent)["occurredAt"],
    }
    reply = await door.post("/v1/events", {"events": [event, {**event, "kind": 7}]})
    assert reply.json["results"][0] == {"transactionId": sent.id, "eventId": "e-1"}
    assert reply.json["results"][1]["error"]["code"] == 3
    await door.post("/v1/labels", {"labels": [said(label(sent.id))]})
    through_http = (await door.get(f"/v1/decisions/{sent.id}")).json
    expected = await door.grpc.stub.GetDecision(
        calls.GetDecisionRequest(transaction_id=sent.id)
    )
    del through_http["decision"]["features"]
    assert through_http == json_format.MessageToDict(expected)
