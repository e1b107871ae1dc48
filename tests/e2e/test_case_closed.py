"""A case on Apache Kafka: decided by the stream, closed by a person, known to all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import uuid4

import grpc
import pytest
from aiokafka import TopicPartition
from control_served import ControlServed, control_serving
from grpc_parts import request
from served import serving
from stream_parts import Input, Worker, send, transaction

from scoring.kafka.startup_errors import reader
from scoring.kafka.topic_admin import create_topics
from scoring.kafka.topic_names import Topics
from scoring.v1 import decision_pb2, fraud_scoring_pb2, transaction_pb2
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
WITHIN_S = 60
POLICY = """\
version: 1
name: everything is looked at
thresholds: {default: {decline: 0.9999}}
lists:
  stolen: {field: card, then: decline, reason_code: CARD_STOLEN, managed: true}
rules:
  - {id: all, when: transaction.amount_minor > 5, then: review, reason_code: LOOK}
default: {outcome: review, reason_code: NO_SCORE}
reasons:
  CARD_STOLEN: The card was reported stolen.
  LOOK: A person looks at every payment.
  NO_SCORE: The payment could not be scored.
  NO_RISK_FOUND: Nothing speaks against the payment.
"""


@dataclass
class World:
    """The control plane, the stream door and the gRPC door of one installation."""

    control: ControlServed
    bootstrap: str
    topics: Topics
    stub: stubs.FraudScoringStub

    async def streamed(self, payment) -> None:
        await send(self.bootstrap, self.topics.transactions, [Input.of(payment)])

    def case(self, id_):
        found = self.control.ask("GET", f"/v1/cases?transaction={id_}").json
        return found["items"][0] if found["items"] else None

    def labels(self, id_):
        asked = fraud_scoring_pb2.GetDecisionRequest(transaction_id=id_)
        return list(self.stub.GetDecision(asked, timeout=30).labels)

    async def told(self):
        """How much is in each partition of labels, and of refused ones."""
        places = [
            TopicPartition(topic, partition)
            for topic in (self.topics.labels, self.topics.labels_dead_letter)
            for partition in range(2)
        ]
        async with reader(self.bootstrap, {}) as consumer:
            return sorted((await consumer.end_offsets(places)).values())

    def outcome(self, payment):
        return self.stub.CheckTransaction(
            request(payment), timeout=30
        ).decision.core.outcome


def until(found):
    ends = time.monotonic() + WITHIN_S
    while not (told := found()):
        assert time.monotonic() < ends
        time.sleep(0.2)
    return told


def released(control: ControlServed) -> None:
    """The list and the policy that names it, in force."""
    made = control.ask(
        "POST", "/v1/lists", {"name": "stolen", "kind": "block", "field": "card"}
    )
    assert made.status == 201, made.body
    draft = control.ask("POST", "/v1/policies", {"text": POLICY}).json["policy"]
    path = f"/v1/policies/{draft['number']}/proposals"
    proposal = control.ask("POST", path, {}).json["proposal"]
    body = {"version": proposal["version"], "why": "our first", "at_once": True}
    done = control.ask("POST", f"/v1/proposals/{proposal['number']}/approval", body)
    assert done.json["policy"]["state"] == "live", done.body


@pytest.fixture
async def world(kafka_bootstrap, store_url, model_dir, tmp_path):
    name = f"t{uuid4().hex[:12]}"
    topics = Topics(f"{name}.")
    await create_topics({"bootstrap_servers": kafka_bootstrap}, topics, partitions=2)
    kafka = {"kafka_bootstrap": kafka_bootstrap, "topic_prefix": topics.prefix}
    doors = kafka | {
        "redis_url": store_url,
        "namespace": name,
        "model_dir": model_dir,
        "state_dir": tmp_path / "doors",
        "policy_from": "control",
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
    }
    env = {f"SCORING_{key.upper()}": str(value) for key, value in doors.items()}
    directory = tmp_path / "control"
    with control_serving(directory, control_single_user=True, **kafka) as control:
        released(control)
        worker = Worker(env, tmp_path / "worker.log").start()
        try:
            with serving(**doors) as served:
                await worker.ready()
                with grpc.insecure_channel(served.address) as channel:
                    stub = stubs.FraudScoringStub(channel)
                    yield World(control, kafka_bootstrap, topics, stub)
        finally:
            worker.stop()


async def test_closing_labels_the_payment_and_stops_the_card_in_one_call(world):
    await world.streamed(transaction("t1", card="card-a"))
    case = until(lambda: world.case("t1"))
    assert (case["outcome"], case["rules"], case["card"]) == (
        "review",
        ["all"],
        "card-a",
    )
    closing = {
        "verdict": "fraud",
        "listings": [{"list": "stolen", "reason": "by its customer"}],
        "revision": case["revision"],
        "why": "she never paid there",
    }
    path = f"/v1/cases/{case['number']}/closing"
    first, again = (world.control.ask("POST", path, closing) for _ in range(2))
    assert first.status == 200, first.body
    assert again.body == first.body
    (label,) = until(lambda: world.labels("t1"))
    assert (label.verdict, label.source) == (
        transaction_pb2.VERDICT_FRAUD,
        transaction_pb2.LABEL_SOURCE_REVIEW,
    )
    numbers = iter(range(2, 1_000))
    until(
        lambda: (
            world.outcome(transaction(f"t{next(numbers)}", card="card-a"))
            == decision_pb2.OUTCOME_DECLINE
        )
    )
    assert world.outcome(transaction("t1001")) == decision_pb2.OUTCOME_REVIEW
    # Everything that waited has left: one label, and no letter of a refused one.
    shown = world.control.ask("GET", f"/v1/cases/{case['number']}").json
    assert shown["labels"][0]["published_at_ms"]
    assert await world.told() == [0, 0, 0, 1]
