"""The control plane and its database are killed at any moment; payments are decided.

SCORING_DRILL_CONTROL_KILLS=50 runs the long form.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from contextlib import contextmanager
from random import Random

import control_served
import grpc
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from control_parts import ANN, BOB, EVE, TEXTS, settled, text
from grpc_parts import payment, request
from postgres_cluster import PostgresCluster
from served import serving

from scoring.control.database.database import Database
from scoring.control.desks.audit_desk import AuditDesk
from scoring.control.desks.policy_desk import PolicyDesk
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.people import By
from scoring.core.features.catalogue import default_catalogue
from scoring.core.policy.shipped_policy import default_policy
from scoring.errors import ChangedMeanwhile, DatabaseUnavailable, NotPossible
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.drill,
    pytest.mark.slow,
    pytest.mark.timeout(7_200),  # of the long form
]
KILLS = int(os.environ.get("SCORING_DRILL_CONTROL_KILLS", "3"))
KILLED_AFTER_S_MAX = 0.5
WITHIN_S = 120
TOPICS = ("control", "control.replicas")


@pytest.fixture
def cluster():
    """A PostgreSQL of this test's own, to be killed."""
    made = PostgresCluster()
    made.start()
    yield made
    made.close()


@pytest.fixture
def kafka(kafka_bootstrap, topic_prefix):
    """The settings of a broker that has the control plane's topics."""
    asyncio.run(made_topics(kafka_bootstrap, topic_prefix))
    return {"kafka_bootstrap": kafka_bootstrap, "topic_prefix": topic_prefix}


@pytest.fixture
def data_plane(kafka, store_url, store_namespace, model_dir, tmp_path):
    """The settings of a server that follows the control plane."""
    return {
        **kafka,
        "model_dir": model_dir,
        "redis_url": store_url,
        "namespace": store_namespace,
        "state_dir": tmp_path,
        "policy_from": "control",
        "budget_ms": 20_000,
        "store_budget_ms": 10_000,
    }


def desk_on(database):
    return PolicyDesk(
        database,
        TEXTS,
        ControlRules(),
        lambda: round(time.time() * 1_000),
        settled=settled,
    )


def released(desk, n):
    """One release, from the draft to the second person; each `n` is another version."""
    written = text(0).replace("of a test", f"no. {n}")
    policy = desk.draft(By(ANN), written).policy
    proposal = desk.propose(By(ANN), policy.number).proposal
    done = desk.approve(By(BOB, "drill"), proposal.number, policy.version, at_once=True)
    return done.release


class Releasing(threading.Thread):
    """Releases one version after the other, whatever becomes of the database."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self.desk, self.ends = desk_on(database), threading.Event()
        self.answered, self.unanswered, self.faults = [], 0, []

    def run(self):
        n = 0
        while not self.ends.is_set():
            n += 1
            try:
                self.answered.append(released(self.desk, n))
            except (DatabaseUnavailable, NotPossible, ChangedMeanwhile):
                self.unanswered += 1
            except Exception as error:  # noqa: BLE001 - the test judges it
                self.faults.append(repr(error))
            self.ends.wait(0.1)


class Paying(threading.Thread):
    """Has payments decided, one after the other."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.ends = address, threading.Event()
        self.versions, self.faults = [], []

    def run(self):
        with grpc.insecure_channel(self.address) as opened:
            stub = stubs.FraudScoringStub(opened)
            while not self.ends.is_set():
                try:
                    reply = stub.CheckTransaction(request(payment()), timeout=30)
                    self.versions.append(reply.decision.core.versions.policy)
                except grpc.RpcError as error:
                    self.faults.append(str(error))
                self.ends.wait(0.02)

    def until_another(self, control):
        """Wait until another policy decides than the one that does now."""
        begun = self.versions[-1:]
        until(lambda: self.versions[-1:] != begun, lambda: control.lines)


@contextmanager
def at_work(*threads):
    for each in threads:
        each.start()
    try:
        yield
    finally:
        for each in threads:
            each.ends.set()
        for each in threads:
            each.join(60)


async def made_topics(bootstrap, prefix):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    policies = {"control": {"cleanup.policy": "compact"}, "control.replicas": {}}
    topics = [NewTopic(f"{prefix}{t}", 1, 1, topic_configs=policies[t]) for t in TOPICS]
    await admin.create_topics(topics)
    await admin.close()


async def everything(kafka_bootstrap, topic_prefix):
    """Every committed record of the topic: sequence, key, value."""
    consumer = AIOKafkaConsumer(
        f"{topic_prefix}control",
        bootstrap_servers=kafka_bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await consumer.start()
    found = []
    try:
        while polled := await consumer.getmany(timeout_ms=3_000):
            for records in polled.values():
                found += [
                    (int(dict(r.headers)["sequence"]), r.key.decode(), r.value)
                    for r in records
                ]
    finally:
        await consumer.stop()
    return found


def until(known, what):
    ends = time.monotonic() + WITHIN_S
    while not known():
        assert time.monotonic() < ends, what()
        time.sleep(0.1)


def killed_again_and_again(control, cluster, start, paying, chance):
    """Kill the control plane, its database, or both at once, and start them anew.

    Every second life may end before it relays anything: the lease of the one before
    runs out first. The others end once another release has decided a payment.
    """
    for life in range(KILLS):
        control.wait_until_ready()
        if life % 2 == 0:
            paying.until_another(control)
        time.sleep(chance.uniform(0, KILLED_AFTER_S_MAX))
        which = chance.choice(["control", "database", "both"])
        if which != "control":
            cluster.sigkill()
        if which != "database":
            control.process.kill()
            control.process.wait()
        time.sleep(chance.uniform(0, KILLED_AFTER_S_MAX))
        if which != "control":
            cluster.start()
        if which != "database":
            control = start()
    return control


def test_no_release_is_lost_or_told_twice_otherwise_and_payments_are_decided(
    cluster, kafka, data_plane, tmp_path
):
    database = Database(cluster.database()).migrated()
    url = database.url.render_as_string(hide_password=False)
    (tmp_path / "control").mkdir()
    released(desk_on(database), 0)

    def start():
        return control_served.start(
            tmp_path / "control", control_database_url=url, **kafka
        )

    def waiting():
        with desk_on(database).read(EVE) as work:
            return work.outbox.waiting()

    control = start()
    with serving(**data_plane) as served:
        releasing, paying = Releasing(database), Paying(served.address)
        with at_work(releasing, paying):
            control = killed_again_and_again(
                control, cluster, start, paying, Random(KILLS)
            )
            control.wait_until_ready()
            releasing.ends.set()
            releasing.join(60)
            until(lambda: not waiting(), lambda: control.lines)
            with desk_on(database).read(EVE) as work:
                wanted = work.policies.in_force().version
            until(lambda: paying.versions[-1:] == [wanted], lambda: served.errors)
    control.process.kill()
    control.process.wait()
    assert releasing.faults == []
    assert paying.faults == []
    kept = judged(database, releasing.answered, asyncio.run(everything(**kafka)))
    decided(paying.versions, kept)
    print(
        f"{KILLS} kills, {len(releasing.answered)} releases, "
        f"{releasing.unanswered} not answered, {len(paying.versions)} payments"
    )
    database.close()


def every_release(work):
    below = None
    while page := work.policies.releases(below=below):
        yield from page
        below = page[-1].number


def judged(database, answered, told):
    """What the database has is in the topic, once, in order, with its audit."""
    with desk_on(database).read(EVE) as work:
        kept = {each.number: each for each in every_release(work)}
        outbox = work.connection.exec_driver_sql(
            "SELECT sequence, key, value FROM outbox ORDER BY sequence"
        ).all()
    assert {release.release for release in answered} <= set(kept)
    assert all(kept[each.release].version == each.policy for each in answered)
    # A record may be told again, as it was; never otherwise, and never out of order.
    assert {(s, k, bytes(v)) for s, k, v in outbox} == set(told)
    assert [s for s, *_ in dict.fromkeys(told)] == [s for s, *_ in outbox]
    by_number = {}
    texts = set()
    for _, key, value in told:
        if key != "policy":
            texts.add(key.removeprefix("policy/"))
            continue
        release = json.loads(value)
        assert release["policy"] in texts, "a release before its text"
        assert by_number.setdefault(release["release"], value) == value
    assert set(by_number) == set(kept)
    assert AuditDesk(database).verify(EVE).problems == ()
    return [kept[number].version for number in sorted(kept)]


def decided(versions, kept):
    """Every payment by a release, and never by one before that of an earlier payment.

    Until the first release is known, by the policy that the server came with.
    """
    order = {default_policy(default_catalogue()).version: 0}
    order |= {version: n for n, version in enumerate(kept, start=1)}
    numbers = [order[version] for version in versions]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > KILLS / 2, "releases hardly reached it in between"
