"""`scoring serve` as a process: starts, drains, shares a port, outlives its store."""

import asyncio
import os
import signal
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_parts import payment, request
from served import serving, start

from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1.decision_pb2 import DegradationCode, Rung

WAITED_S_MAX = 90


@pytest.fixture
def settings(model_dir, store_url, store_namespace, tmp_path):
    return {
        "model_dir": model_dir,
        "redis_url": store_url,
        "namespace": store_namespace,
        "state_dir": tmp_path,
        # The machine of the tests is shared: only a drill speaks of milliseconds.
        "budget_ms": 5_000,
        "store_budget_ms": 2_000,
    }


def stub_of(address):
    channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
    return channel, stubs.FraudScoringStub(channel)


def check(address, transaction, timeout=10):
    channel, stub = stub_of(address)
    with channel:
        return stub.CheckTransaction(request(transaction), timeout=timeout).decision


def test_it_says_where_it_serves_and_ends_well_on_sigterm(settings):
    with serving(**settings) as served:
        assert served.address.startswith("127.0.0.1:")
        assert check(served.address, payment()).core.rung == Rung.RUNG_FULL
        assert served.stop() == 0


def test_a_restart_returns_the_stored_decision_byte_for_byte(settings):
    one = payment()
    with serving(**settings) as served:
        first = check(served.address, one)
        assert served.stop() == 0
    with serving(**settings) as served:
        assert check(served.address, one) == first


def test_a_taken_port_is_one_plain_line_and_status_2(settings):
    with serving(**settings) as served:
        second = start(f"--address={served.address}", **settings)
        assert second.process.wait(60) == 2
        text = "\n".join(second.errors)
        assert served.address in text
        assert "Traceback" not in text


def test_a_missing_model_is_one_plain_line_and_status_2(settings, tmp_path):
    refused = start(**{**settings, "model_dir": tmp_path / "nowhere"})
    assert refused.process.wait(60) == 2
    assert "Traceback" not in "\n".join(refused.errors)


async def test_a_drain_says_so_first_and_finishes_what_is_in_flight(settings):
    with serving(**settings | {"drain_notice_s": 1.0}) as served:
        async with grpc.aio.insecure_channel(served.address) as channel:
            stub = stubs.FraudScoringStub(channel)
            probe = health_pb2_grpc.HealthStub(channel)
            watch = probe.Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == 1
            stream = stub.StreamCheckTransactions()
            one = payment()
            message = calls.StreamCheckTransactionsRequest(transaction=one)
            await stream.write(message)
            assert (await stream.read()).result.transaction_id == one.id
            served.process.send_signal(signal.SIGTERM)
            assert (await watch.read()).status == 2
            # NOT_SERVING stands, and calls are still answered.
            reply = await stub.CheckTransaction(request(payment()), timeout=10)
            assert reply.decision.core.reasons
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await stream.read()
            assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
            watch.cancel()
        assert await asyncio.to_thread(served.process.wait, 60) == 0


def children_of(pid):
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def wait_for(condition):
    ends = time.monotonic() + WAITED_S_MAX
    while not (found := condition()):
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.05)
    return found


@pytest.mark.drill
def test_workers_share_a_port_and_a_killed_one_is_replaced(settings):
    with serving("--workers=2", **settings) as served:
        pid = served.process.pid
        first = wait_for(lambda: len(children_of(pid)) == 2 and children_of(pid))
        for _ in range(10):
            assert check(served.address, payment()).core.rung == Rung.RUNG_FULL
        os.kill(first[0], signal.SIGKILL)
        wait_for(
            lambda: len(children_of(pid)) == 2 and first[0] not in children_of(pid)
        )
        for _ in range(10):
            assert check(served.address, payment()).core.reasons
        last = children_of(pid)
        assert served.stop() == 0
        assert not any(Path(f"/proc/{child}").exists() for child in last)


@pytest.mark.drill
def test_workers_end_with_a_parent_that_is_killed(settings):
    with serving("--workers=2", **settings) as served:
        workers = wait_for(lambda: children_of(served.process.pid))
        served.process.kill()
        served.process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@pytest.mark.drill
def test_workers_that_cannot_start_end_the_parent(settings, tmp_path):
    refused = start("--workers=2", **{**settings, "model_dir": tmp_path / "nowhere"})
    assert refused.process.wait(90) == 2


@pytest.mark.drill
def test_without_the_store_every_check_is_answered_and_reconciled_later(
    settings, own_store
):
    settings |= {"redis_url": own_store.url, "budget_ms": 500, "store_budget_ms": 200}
    with serving(**settings) as served:
        wait_for(lambda: check(served.address, payment()).core.rung == Rung.RUNG_FULL)
        own_store.child.pause()
        during = [payment() for _ in range(20)]
        answers = [check(served.address, one) for one in during]
        for answer in answers:
            assert answer.core.provisional
            codes = {d.code for d in answer.core.degradations}
            assert codes & {
                DegradationCode.DEGRADATION_CODE_HISTORY_UNAVAILABLE,
                DegradationCode.DEGRADATION_CODE_NOT_RECORDED,
            }
        # A repeat of a provisional answer is the same answer.
        assert check(served.address, during[-1]).core == answers[-1].core
        own_store.child.resume()
        wait_for(lambda: check(served.address, payment()).core.rung == Rung.RUNG_FULL)
        channel, stub = stub_of(served.address)
        with channel:
            for answer in answers:
                found = stub.GetDecision(
                    calls.GetDecisionRequest(transaction_id=answer.core.transaction_id),
                    timeout=10,
                )
                assert found.decision.core.outcome == answer.core.outcome
        assert served.stop() == 0
