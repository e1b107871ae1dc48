"""The drill of docs/lost-store.md as it is written, both doors and labels at work."""

import asyncio
import os
import re
import subprocess
import sys
from urllib.request import urlopen

import grpc
import pytest
from conftest import Broker
from grpc_parts import label, payment
from history_parts import state
from redis.asyncio import Redis
from served import ROOT, serving
from stream_bench import StreamBench
from stream_parts import Input, create_topics, transaction

from scoring.embedded.child import free_port
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import Rung
from scoring.wiring.services import now_ms

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]
PAGE = (ROOT / "docs" / "lost-store.md").read_text()
NAMESPACE = "drill"
BEFORE, IN_STREAM = 60, 40
METRICS_PORT = free_port()


def command_of(heading: str) -> list[str]:
    """The first command that the page gives under a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1]
    return re.search(r"```text\n(scoring .*)\n```", section).group(1).split()


def run(env, words):
    """An operator's command: what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Callers:
    """Payments through gRPC and labels of them, one after the other, until told."""

    def __init__(self, stub):
        self.stub, self.stopped = stub, False
        self.sent = self.labelled = self.at_ms = 0
        self.rungs: set[str] = set()

    async def pay(self):
        self.at_ms = max(now_ms(), self.at_ms + 1)  # no two at one time
        one = payment(f"p-{self.sent}-x", at_ms=self.at_ms, card=f"c{self.sent % 7}")
        reply = await self.stub.CheckTransaction(
            calls.CheckTransactionRequest(transaction=one), timeout=20
        )
        self.sent += 1
        core = reply.decision.core
        self.rungs.add(Rung.Name(core.rung))
        return one, core

    async def label(self, one):
        """One that brings its transaction along: the worker has nothing to look up."""
        report = calls.ReportLabelsRequest(labels=[label(one.id, transaction=one)])
        (result,) = (await self.stub.ReportLabels(report, timeout=20)).results
        assert not result.HasField("error"), result
        self.labelled += 1

    async def go_on(self):
        while not self.stopped:
            one, _ = await self.pay()
            await self.label(one)
            await asyncio.sleep(0.02)


@pytest.fixture
async def bench(embedded_bootstrap, own_store, topic_prefix, model_dir, tmp_path):
    await create_topics(embedded_bootstrap, topic_prefix)
    broker = Broker(embedded_bootstrap, embedded=True)
    bench = StreamBench(broker, own_store, topic_prefix, model_dir, tmp_path)
    bench.env |= {"SCORING_NAMESPACE": NAMESPACE, "SCORING_METRICS_PORT": "0"}
    yield bench
    bench.stop()


@pytest.fixture
def served(bench):
    known = {k.removeprefix("SCORING_").lower(): v for k, v in bench.env.items()}
    # The machine of the tests is shared: this is no drill of time.
    patient = {"budget_ms": 5_000, "store_budget_ms": 2_000}
    with serving(**{**known, **patient, "metrics_port": METRICS_PORT}) as served:
        yield served


def metric(event: str) -> float:
    with urlopen(f"http://127.0.0.1:{METRICS_PORT}/metrics", timeout=5) as page:
        text = page.read().decode()
    found = re.search(rf'fraud_events_total{{event="{event}"}} (\S+)', text)
    return float(found.group(1)) if found else 0.0


async def until(condition, within_s=60):
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.1)


async def emptied(bench):
    async with Redis.from_url(bench.store.url) as redis:
        await redis.flushall()


async def what_you_see(bench, served, worker):
    """Both processes say what happened and what to do; nothing is written."""
    await until(lambda: any("history lost" in line for line in served.errors))
    (said,) = [line for line in served.errors if "history lost" in line]
    assert "run `scoring rebuild`" in said
    assert metric("history_lost") == 1
    await bench.send([Input.of(transaction(f"t{i}")) for i in range(IN_STREAM)])
    await until(lambda: "run `scoring rebuild`" in worker.output.read_text())
    await asyncio.sleep(1)
    written = await state(bench.store.url, NAMESPACE)
    assert set(written) <= {f"{NAMESPACE}:processed".encode()}


async def what_to_do(bench, served):
    """The command puts everything back; no process is restarted."""
    printed = run(bench.env, command_of("What to do"))
    assert not re.search(r"\b\d+/0\b", printed), printed
    assert re.search(r"[1-9]\d* transactions", printed), printed
    await until(lambda: any("recovered" in line for line in served.errors), 10)


async def test_the_drill_of_the_page_puts_everything_back(bench, served):
    worker = await bench.worker().ready()
    async with grpc.aio.insecure_channel(served.address) as channel:
        callers = Callers(stubs.FraudScoringStub(channel))
        for _ in range(BEFORE):
            one, _ = await callers.pay()
            await callers.label(one)
        await bench.labels_taken(callers.labelled)
        assert callers.rungs == {"RUNG_FULL"}
        at_work = asyncio.create_task(callers.go_on())

        await emptied(bench)
        await what_you_see(bench, served, worker)
        await what_to_do(bench, served)

        callers.stopped = True
        await at_work
        _, core = await callers.pay()
        assert not core.provisional
    await bench.labels_taken(callers.labelled)
    counted = await bench.count(callers.sent + IN_STREAM)
    assert len(counted.decisions) == callers.sent + IN_STREAM
    audited = run(bench.env, command_of("Afterwards"))
    assert " 0 differ" in re.sub(r"\s+", " ", audited)
    # Whatever came during the outage is there as if it had never been.
    stood = histories(await state(bench.store.url, NAMESPACE))
    served.stop()
    worker.terminate()
    run(bench.env, ["scoring", "rebuild", "--wipe"])
    assert stood == histories(await state(bench.store.url, NAMESPACE))


def histories(keys):
    """The entities' histories among the keys of a namespace."""
    return {k: v for k, v in keys.items() if re.search(rb"\}:[esl]$", k)}
