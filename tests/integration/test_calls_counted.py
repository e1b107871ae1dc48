"""Every call leaves a number, and every cause of a refusal a line that names it."""

import asyncio
import logging

import grpc
import pytest
from grpc_parts import fresh_id, label, open_door, payment, request, status_of
from http_parts import open_doors
from prometheus_client import CollectorRegistry

from scoring.doors.calls.call_watch import CallWatch
from scoring.telemetry.call_metrics import CallMetrics
from scoring.v1 import fraud_scoring_pb2 as calls

LOGGER = "scoring.doors.calls.call_watch"
CHECK = "scoring.v1.FraudScoring/CheckTransaction"


class Counted:
    """Metrics of their own, read by name and labels."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.calls = CallMetrics(self.registry)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def rpc(self, method: str, status: str) -> float | None:
        return self(
            "rpc_server_calls_total",
            rpc_system_name="grpc",
            rpc_method=method,
            rpc_response_status_code=status,
        )

    def refused(self, door: str, problem: str) -> float | None:
        return self("fraud_refusals_total", door=door, problem=problem)


@pytest.fixture
def counted():
    return Counted()


def lines(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == LOGGER]


async def test_eighty_failed_calls_leave_eighty_counts_and_one_line_with_the_cause(
    model_dir, counted, caplog
):
    async with open_door(model_dir, calls=counted.calls) as door:
        for _ in range(80):
            told = await status_of(door.check(payment(currency="EURO")))
            assert told[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert counted.rpc(CHECK, "INVALID_ARGUMENT") == 80
        assert counted.rpc(CHECK, "OK") == 0
        assert counted.refused("grpc", "invalid") == 80
        (line,) = lines(caplog)
        assert line.startswith("CheckTransaction over grpc refused: invalid: currency")
        record = next(r for r in caplog.records if r.name == LOGGER)
        assert (record.cause, record.door) == ("invalid", "grpc")
        assert "127.0.0.1" in record.peer
        door.calls.watch.sum_up()
        assert lines(caplog)[1] == (
            "CheckTransaction over grpc refused 79 more times: invalid"
        )


async def test_eighty_failed_requests_leave_eighty_counts_and_one_line_with_the_cause(
    model_dir, counted, caplog
):
    async with open_doors(model_dir, calls=counted.calls) as doors:
        for _ in range(80):
            assert (await doors.check(payment(currency="EURO"))).status == 400
    found = counted(
        "http_server_requests_total",
        http_route="/v1/checks",
        http_response_status_code="400",
    )
    assert found == 80
    assert counted.refused("http", "invalid") == 80
    (line,) = lines(caplog)
    assert line.startswith("/v1/checks over http refused: invalid: currency")


async def test_items_that_fail_within_a_call_are_counted_too(
    model_dir, counted, caplog
):
    """A batch whose items all fail is OK to gRPC."""
    bad = [payment(currency="EURO") for _ in range(8)]
    async with open_door(model_dir, calls=counted.calls) as door:
        await door.stub.BatchCheckTransactions(
            calls.BatchCheckTransactionsRequest(transactions=bad)
        )
        assert counted.refused("grpc", "invalid") == 8
        stream = door.stub.StreamCheckTransactions()
        for each in bad:
            await stream.write(calls.StreamCheckTransactionsRequest(transaction=each))
        await stream.done_writing()
        assert len([reply async for reply in stream]) == 8
        assert counted.refused("grpc", "invalid") == 16
        await door.stub.ReportLabels(
            calls.ReportLabelsRequest(labels=[label("x", verdict=0)])
        )
        assert counted.refused("grpc", "invalid") == 17
    assert sorted(line.split()[0] for line in lines(caplog)) == [
        *("BatchCheckTransactions", "ReportLabels", "StreamCheckTransactions"),
    ]
    assert counted.rpc("scoring.v1.FraudScoring/StreamCheckTransactions", "OK") == 1


async def test_a_method_that_is_none_of_ours_is_counted(model_dir, counted, caplog):
    async with open_door(model_dir, calls=counted.calls) as door:
        code, _, said = await status_of(door.raw("Chekc")(b""))
        assert (code, said) == (grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        assert counted.rpc("_OTHER", "UNIMPLEMENTED") == 1
    assert len(lines(caplog)) == 1


async def test_a_message_that_grpc_itself_refuses_arrived_and_did_not_end(
    model_dir, counted
):
    async with open_door(model_dir, calls=counted.calls) as door:
        size = door.server._options.message_bytes_max * 16 + 1
        code, *_ = await status_of(door.raw("CheckTransaction")(bytes(size)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        known = {"rpc_system_name": "grpc", "rpc_method": CHECK}
        assert counted("rpc_server_calls_arrived_total", **known) == 1
        assert counted("rpc_server_call_duration_seconds_count", **known) == 0


async def test_a_deadline_that_passes_is_no_caller_who_leaves(
    model_dir, counted, caplog
):
    async with open_door(model_dir, calls=counted.calls) as door:
        door.log_is_away()
        in_time = request(payment(fresh_id()))
        call = door.stub.CheckTransaction(in_time, timeout=0.2)
        assert (await status_of(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        call = door.stub.CheckTransaction(request(payment(fresh_id())), timeout=5)
        await asyncio.sleep(0.2)
        assert counted("fraud_in_flight_calls", door="grpc") == 1
        call.cancel()
        async with asyncio.timeout(5):
            while not counted.rpc(CHECK, "CANCELLED"):
                await asyncio.sleep(0.01)
        assert counted.rpc(CHECK, "DEADLINE_EXCEEDED") == 1
        assert counted("fraud_in_flight_calls", door="grpc") == 0
    assert counted.refused("grpc", "deadline-exceeded") == 1
    assert counted.refused("grpc", "cancelled") == 1
    assert len(lines(caplog)) == 2


async def test_what_brings_no_request_is_counted_and_told(model_dir, counted, caplog):
    async with open_doors(model_dir, calls=counted.calls) as doors:
        assert (await doors.raw(b"no http at all\r\n\r\n")).status == 400
        assert (await doors.get("/nowhere")).status == 404
    assert counted.refused("http", "malformed") == 1
    assert counted.refused("http", "no-route") == 1
    other = {"http_route": "_OTHER", "http_response_status_code": "400"}
    assert counted("http_server_requests_total", **other) == 1
    assert len(lines(caplog)) == 2


async def test_a_fault_of_ours_is_an_error_and_a_caller_s_a_warning(
    model_dir, counted, caplog
):
    async with open_door(model_dir, calls=counted.calls) as door:
        door.calls.checks.dispatcher.shedding.checks_max = 0
        await status_of(door.check(payment()))
        door.calls.checks.dispatcher.shedding.checks_max = 10
        door.dispatcher.batcher.decider = None
        await status_of(door.check(payment()))
    levels = {r.cause: r.levelno for r in caplog.records if r.name == LOGGER}
    assert levels == {"overloaded": logging.WARNING, "internal": logging.ERROR}


async def test_a_cause_is_said_once_a_minute_with_how_many_there_were(counted, caplog):
    now = 0.0
    watch = CallWatch(counted.calls, lambda: now)
    error = ValueError("x")
    from scoring.core.decision.decision import Door

    for now in (0.0, 1.0, 2.0):  # noqa: B007 - the clock of the watch
        watch.refused(Door.GRPC, "CheckTransaction", error, lambda: "ipv4:10.0.0.9")
    assert len(lines(caplog)) == 1
    watch.sum_up()
    assert "2 more times" in lines(caplog)[1]
