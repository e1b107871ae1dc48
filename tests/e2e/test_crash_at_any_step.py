"""A process that dies at any step between answer and log loses nothing it answered."""

import asyncio
import os
import random
import re
import resource
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from gates import gate
from grpc_parts import SERVICE, payment, request
from kafka_cluster import kafka_cluster, why_not
from redis import Redis
from served import Served, serving, start
from stream_parts import count, create_topics

from scoring.pipeline.steps import Step
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.decision_pb2 import Decision

SEEDS = int(os.environ.get("SCORING_DRILL_SEEDS", "1"))
pytestmark = [
    pytest.mark.kafka,
    pytest.mark.drill,
    pytest.mark.timeout(300 + 300 * SEEDS),
]
LAUNCHER = (str(Path(__file__).parents[1] / "killed_at.py"),)
STORE, LOG, DISK = "store", "log", "disk"
# What may be down at each step: one or two of the three. Where the step is of what
# comes after an outage, they are unavailable before it, and return, the store first.
ONE_OR_TWO = [{STORE}, {LOG}, {DISK}, {STORE, LOG}, {STORE, DISK}, {LOG, DISK}]
WITH_STORE = [away for away in ONE_OR_TWO if STORE not in away] + [set()]
WITHOUT_STORE = [{STORE}, {STORE, LOG}]
AWAY = {
    Step.OBSERVED: WITH_STORE,
    Step.DECIDED: [*ONE_OR_TWO, set()],
    Step.RECORDED: WITH_STORE,
    Step.SPOOLING: [*WITHOUT_STORE, {STORE, DISK}],
    Step.SPOOLED: [*WITHOUT_STORE, {STORE, DISK}],
    Step.HANDED_ON: [*ONE_OR_TWO, set()],
    Step.SENDING: [*ONE_OR_TWO, set()],
    Step.SENT: [*ONE_OR_TWO, set()],
    Step.LOGGED: [*ONE_OR_TWO, set()],
    Step.CLEARED: [*ONE_OR_TWO, set()],
    Step.TAKEN_OVER: [*WITHOUT_STORE, {LOG}, set()],
    Step.RECONCILING: [*WITHOUT_STORE, {STORE, DISK}],
    Step.RECONCILED: [*WITHOUT_STORE, {STORE, DISK}],
    Step.SPOOL_CLEARED: [*WITHOUT_STORE, {STORE, DISK}],
    Step.ORPHAN_FOUND: [{LOG}, {DISK}, {LOG, DISK}, set()],
    Step.ORPHAN_RELAYED: [{LOG}, {DISK}, {LOG, DISK}, set()],
}
# A spool, and an outbox, that a dead process left are what these begin with.
LEFT_BY = {
    Step.TAKEN_OVER: Step.SPOOLED,
    Step.ORPHAN_FOUND: Step.RECORDED,
    Step.ORPHAN_RELAYED: Step.RECORDED,
}
CALLERS = 4
DIES_WITHIN_S = 40.0


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    if missing := why_not():
        pytest.skip(missing)
    directory = tmp_path_factory.mktemp("gated")
    with gate() as way, kafka_cluster(directory, gate=way) as cluster:
        yield cluster, way


@dataclass
class Drill:
    """One chain of processes on one state directory, each killed at its step."""

    settings: dict
    gates: dict
    rnd: random.Random
    store_url: str
    answered: dict = field(default_factory=dict)
    failed: list = field(default_factory=list)
    visited: list = field(default_factory=list)

    def open_all(self):
        for each in self.gates.values():
            each.open()

    def cut(self, away, served):
        for name in away & self.gates.keys():
            self.gates[name].shut()
        if DISK in away:
            no_bytes = (0, resource.RLIM_INFINITY)
            resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, no_bytes)

    async def caller(self, address, stop):
        """Pay until told to stop, or until the process is gone."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options) as channel:
            check = channel.unary_unary(SERVICE + "CheckTransaction")
            while not stop.is_set():
                one = payment()
                try:
                    raw = await check(request(one).SerializeToString(), timeout=10)
                except grpc.aio.AioRpcError:
                    self.failed.append(one)
                    return
                decision = calls.CheckTransactionResponse.FromString(raw).decision
                self.answered[one.id] = decision.core
                await asyncio.sleep(0.02)

    async def killed_at(self, step, away):
        """Start a process, take some of its neighbours away, and see it die there."""
        served = start(launcher=(*LAUNCHER, step.name, "1"), **self.settings)
        stop = asyncio.Event()
        back = asyncio.ensure_future(self.back(step, away, served, stop))
        try:
            async with asyncio.timeout(DIES_WITHIN_S):
                while served.process.poll() is None:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            seen = [line for line in served.lines if line.startswith("reached ")]
            raise AssertionError(
                f"{step.name} without {away or 'nothing'} was never reached: "
                f"{seen} {served.errors[-5:]}"
            ) from None
        finally:
            stop.set()
            with suppress(asyncio.CancelledError):
                back.cancel()
                await back
            if served.process.poll() is None:
                served.process.kill()
                served.process.wait()
        assert served.process.returncode == -signal.SIGKILL, served.errors
        self.visited.append(step)

    async def back(self, step, away, served: Served, stop):
        """What happens around the process: calls, an outage, and its end."""
        before = step is Step.TAKEN_OVER or self.rnd.random() < 0.3
        if before:
            self.cut(away, served)
        while not served.address and served.process.poll() is None:
            await asyncio.sleep(0.02)
        if not before:
            self.cut(away, served)
        callers = [self.caller(served.address, stop) for _ in range(CALLERS)]
        calling = asyncio.ensure_future(asyncio.gather(*callers))
        try:
            await asyncio.sleep(0.3 + self.rnd.random() / 2)
            # The store first: what was reconciled and not yet logged is at stake.
            for name in (STORE, LOG):
                if name in away:
                    self.gates[name].open()
                    await asyncio.sleep(self.rnd.random())
            while served.process.poll() is None:
                self.forget_leases()
                await asyncio.sleep(0.2)
        finally:
            stop.set()
            await calling

    def forget_leases(self):
        """As if the lease of a dead process had ended."""
        with Redis.from_url(self.store_url) as client:
            for key in client.scan_iter("*:lease:*"):
                client.delete(key)

    async def round(self, step, away):
        left_by = LEFT_BY.get(step)
        if left_by is not None:
            self.open_all()
            given = {STORE} if left_by is Step.SPOOLED else set()
            await self.killed_at(left_by, given)
        self.open_all()
        await self.killed_at(step, away)
        self.open_all()


def conflicts(decisions):
    """Ids of which the log has more than one core."""
    return {id_: cores for id_, cores in decisions.items() if len(set(cores)) > 1}


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_crash_at_any_step_loses_and_contradicts_nothing_that_was_answered(
    seed, kafka, own_store, model_dir, tmp_path
):
    cluster, log_gate = kafka
    prefix = f"t{uuid4().hex[:12]}."
    await create_topics(cluster.bootstrap, prefix)
    rnd = random.Random(seed)
    port = int(re.search(r":(\d+)/", own_store.url).group(1))
    with gate(to_port=port) as store_gate:
        settings = {
            "redis_url": f"redis://{store_gate.address}/0",
            "kafka_bootstrap": log_gate.address,
            "topic_prefix": prefix,
            "model_dir": model_dir,
            "state_dir": tmp_path / "state",
            "budget_ms": 2_000,  # no drill of milliseconds
            "store_budget_ms": 500,
        }
        gates = {STORE: store_gate, LOG: log_gate}
        drill = Drill(settings, gates, rnd, own_store.url)
        for step in rnd.sample(list(Step), len(Step)):
            await drill.round(step, rnd.choice(AWAY[step]))
        assert set(drill.visited) == set(Step), "every step was visited"
        assert len(drill.answered) >= len(Step)
        with serving(**settings) as served:
            counted = await whole_log(drill, served, cluster.bootstrap, prefix)
    assert not counted.lost(drill.answered), "0 lost"
    assert not conflicts(counted.decisions), "0 conflicting"
    outcomes = {c.transaction_id: c.outcome for c in drill.answered.values()}
    assert all(
        Decision.FromString(raw).core.outcome == outcomes[id_]
        for id_, raws in counted.raw.items()
        if id_ in outcomes
        for raw in raws
    ), "the log says what was answered"


async def whole_log(drill, served, bootstrap, prefix):
    """What the log holds once a last process has made up for all of it."""
    async with asyncio.timeout(90):
        while True:
            drill.forget_leases()
            counted = await count(bootstrap, prefix, until=0, settle_s=2.0)
            if not counted.lost(drill.answered):
                return counted
            assert served.process.poll() is None
