"""What was decided can be looked up and explained; what turned out can be told."""

import shutil
from dataclasses import replace

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_parts import (
    DAY_MS,
    at,
    fresh_id,
    label,
    open_door,
    payment,
    request,
    status_of,
)
from small_model import noise_bundle, registry_of

from scoring import wire
from scoring.core.features.catalogue import default_catalogue
from scoring.core.model.bundle import Band
from scoring.errors import ModelUnavailable
from scoring.models.onnx_model import OnnxModel, load_model
from scoring.training.fit import Boosting
from scoring.training.second_look import SecondLookPlan
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.decision_pb2 import SECOND_LOOK_TAKEN
from scoring.wiring.services import now_ms

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PLANTED = "4111111111111111"


@pytest.fixture
async def door(model_dir):
    async with open_door(model_dir) as door:
        yield door


def lookup(id_, **fields):
    return calls.GetDecisionRequest(transaction_id=id_, **fields)


async def test_a_recorded_decision_is_returned_byte_for_byte(door):
    one = payment()
    sent = request(one).SerializeToString()
    reply = await door.raw("CheckTransaction")(sent, timeout=5)
    found = await door.raw("GetDecision")(lookup(one.id).SerializeToString(), timeout=5)
    assert found == reply


async def test_an_unknown_id_is_not_found(door):
    code, field, _ = await status_of(door.stub.GetDecision(lookup("t-no"), timeout=5))
    assert (code, field) == (grpc.StatusCode.NOT_FOUND, "transaction_id")


async def test_a_tenant_sees_its_own_decisions_only(door):
    one = payment(tenant="north")
    await door.check(one)
    reply = await door.stub.GetDecision(lookup(one.id, tenant="north"), timeout=5)
    assert reply.decision.core.tenant == "north"
    code, _, _ = await status_of(
        door.stub.GetDecision(lookup(one.id, tenant="south"), timeout=5)
    )
    assert code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "guilty"),
    [
        ({"id_": ""}, "transaction_id"),
        ({"id_": PLANTED}, "transaction_id"),
        ({"id_": "t", "tenant": "a/b"}, "tenant"),
        ({"id_": "t", "tenant": PLANTED}, "tenant"),
    ],
)
async def test_a_look_up_that_names_no_transaction_is_refused(door, fields, guilty):
    code, field, message = await status_of(
        door.stub.GetDecision(lookup(**fields), timeout=5)
    )
    assert (code, field) == (INVALID, guilty)
    assert PLANTED not in message


async def test_an_explanation_adds_up_to_the_margin(door):
    one = payment()
    decision = await door.check(one)
    reply = await door.stub.ExplainDecision(
        calls.ExplainDecisionRequest(transaction_id=one.id), timeout=30
    )
    total = reply.base + sum(c.contribution for c in reply.contributions)
    assert total == pytest.approx(decision.core.margin, abs=1e-4)
    assert reply.core == decision.core
    sizes = [abs(c.contribution) for c in reply.contributions]
    assert sizes == sorted(sizes, reverse=True)
    assert len(reply.contributions) == len(decision.core.features)
    assert all(c.reason_code for c in reply.contributions)


async def explained(door, transaction):
    return await door.stub.ExplainDecision(
        calls.ExplainDecisionRequest(transaction_id=transaction.id), timeout=30
    )


async def test_each_decision_is_explained_by_the_model_that_made_it(
    model_dir, other_model_dir, tmp_path
):
    models = (model_dir, other_model_dir)
    registry, (first, second) = registry_of(tmp_path / "models", *models)
    async with open_door(registry.root) as door:
        decided = []
        for version in (first, second):
            registry.promote(version)
            scorer = door.service.scorer
            model = load_model(registry.root, catalogue=scorer.artifacts.catalogue)
            scorer.artifacts = replace(scorer.artifacts, model=model)
            one = payment()
            decided.append((one, (await door.check(one)).core))
        assert [core.versions.model for _, core in decided] == [first, second]
        for one, core in decided:
            reply = await explained(door, one)
            total = reply.base + sum(c.contribution for c in reply.contributions)
            assert total == pytest.approx(core.margin, abs=1e-4)


async def test_a_second_look_is_explained_by_the_larger_model(tmp_path):
    larger = SecondLookPlan(
        boosting=Boosting(rounds=40, depth_max=4), band=Band(low=0.0, high=1.0)
    )
    noise_bundle(tmp_path / "models", rows=3_000, rounds=20, second_look=larger)
    async with open_door(tmp_path / "models") as door:
        one = payment()
        core = (await door.check(one)).core
        assert core.second_look == SECOND_LOOK_TAKEN
        reply = await explained(door, one)
        total = reply.base + sum(c.contribution for c in reply.contributions)
        assert total == pytest.approx(core.margin, abs=1e-4)
        vector = np.array([core.features], np.float32)
        first = door.service.scorer.artifacts.model.predict(vector)
        assert core.margin != first.margin[0]


async def test_a_decision_whose_model_is_gone_says_which_one_to_keep(
    model_dir, other_model_dir, tmp_path
):
    models = (model_dir, other_model_dir)
    registry, (first, second) = registry_of(tmp_path / "models", *models)
    async with open_door(registry.root) as door:
        one = payment()
        await door.check(one)
        registry.promote(second)
        shutil.rmtree(registry.path(first))
        code, _, message = await status_of(explained(door, one))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert first in message
        assert "keep bundles as long as decisions" in message


async def test_a_decision_without_a_score_has_nothing_to_explain(door, monkeypatch):
    def fails(_model, _matrix):
        raise ModelUnavailable("down")

    monkeypatch.setattr(OnnxModel, "predict", fails)
    one = payment()
    assert not (await door.check(one)).core.HasField("margin")
    code, _, message = await status_of(explained(door, one))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "without a score" in message


async def test_labels_reach_the_labels_topic_one_outcome_each(door):
    good, bad = label(fresh_id()), label(fresh_id(), version=0)
    foreign = payment(tenant="another")
    smuggled = label(foreign.id, transaction=foreign)
    reply = await door.stub.ReportLabels(
        calls.ReportLabelsRequest(labels=[good, bad, smuggled]), timeout=5
    )
    assert [r.transaction_id for r in reply.results] == [
        *(good.transaction_id, bad.transaction_id, foreign.id)
    ]
    assert [r.error.field for r in reply.results] == [
        *("", "version", "transaction.tenant")
    ]
    assert not reply.results[0].HasField("error")
    (record,) = door.service.log.of(door.service.topics.labels)
    told = wire.label_from_bytes(record.value)
    assert (told.transaction_id, told.version) == (good.transaction_id, 1)


async def test_without_a_log_a_label_reported_twice_counts_once(model_dir):
    ten_days_ago = payment(terminal="t-bad", at_ms=now_ms() - 10 * DAY_MS)
    told = label(
        ten_days_ago.id, transaction=ten_days_ago, known_at=at(now_ms() - 9 * DAY_MS)
    )
    streak = default_catalogue().names.index("terminal_fraud_streak")
    async with open_door(model_dir, logs=False) as door:
        await door.check(ten_days_ago)
        for _ in range(2):
            reply = await door.stub.ReportLabels(
                calls.ReportLabelsRequest(labels=[told]), timeout=5
            )
            assert not reply.results[0].HasField("error")
        decision = await door.check(payment(terminal="t-bad"))
    assert decision.core.features[streak] == 1


async def test_a_label_with_its_transaction_is_keyed_like_it(door):
    one = payment(card="card-k7")
    await door.stub.ReportLabels(
        calls.ReportLabelsRequest(labels=[label(one.id, transaction=one)]), timeout=5
    )
    (record,) = door.service.log.of(door.service.topics.labels)
    assert record.key == b"card-k7"


@pytest.mark.parametrize(
    ("fields", "guilty"),
    [
        ({"id_": ""}, "transaction_id"),
        ({"id_": PLANTED}, "transaction_id"),
        ({"id_": "t", "verdict": 0}, "verdict"),
        ({"id_": "t", "verdict": 9}, "verdict"),
        ({"id_": "t", "source": 99}, "source"),
        ({"id_": "t", "known_at": None}, "known_at"),
    ],
)
async def test_a_mistaken_label_is_refused_naming_its_field(door, fields, guilty):
    reply = await door.stub.ReportLabels(
        calls.ReportLabelsRequest(labels=[label(**fields)]), timeout=5
    )
    assert reply.results[0].error.field == guilty
    assert PLANTED not in str(reply)
    assert not door.service.log.of(door.service.topics.labels)


async def test_no_labels_at_all_are_refused(door):
    code, field, _ = await status_of(
        door.stub.ReportLabels(calls.ReportLabelsRequest(), timeout=5)
    )
    assert (code, field) == (INVALID, "labels")


SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(address, service=""):
    async with grpc.aio.insecure_channel(address) as channel:
        reply = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=service), timeout=5
        )
        return reply.status


async def test_the_health_port_answers_probes_and_nothing_else(model_dir):
    async with open_door(model_dir, grpc_health_address="127.0.0.1:0") as door:
        probes = door.server.health_address
        assert probes != door.server.address
        for service in ("", "scoring.v1.FraudScoring", "liveness"):
            assert await health(probes, service) == SERVING
        async with grpc.aio.insecure_channel(probes) as channel:
            check = channel.unary_unary("/scoring.v1.FraudScoring/CheckTransaction")
            code, _, _ = await status_of(check(b"", timeout=5))
            assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_an_unknown_service_has_no_health(door):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await health(door.server.address, "no.such.Service")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_is_off_unless_it_is_set(model_dir):
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    for reflection, expected in ((False, grpc.StatusCode.UNIMPLEMENTED), (True, None)):
        async with open_door(model_dir, reflection=reflection) as door:
            # One request: list_services.
            call = door.channel.stream_stream(method)(iter([b"\x3a\x01*"]), timeout=5)
            if expected:
                code, _, _ = await status_of(anext(aiter(call)))
                assert code is expected
            else:
                assert b"scoring.v1.FraudScoring" in await anext(aiter(call))
