"""What a live service misses or refuses costs a replay that alone, not the run."""

import grpc
import pytest

from scoring.core.transaction.transaction import Transaction
from scoring.replay.collect import Collector
from scoring.replay.door import GrpcReplayDoor
from scoring.replay.schedule import label_of
from scoring.tables.admission import Row
from scoring.v1 import decision_pb2, fraud_scoring_pb2, fraud_scoring_pb2_grpc


class Slow(fraud_scoring_pb2_grpc.FraudScoringServicer):
    """Fails the first call with a status, and decides every later one."""

    def __init__(self, status):
        self.status = status

    async def BatchCheckTransactions(self, request, context):  # noqa: N802 gRPC's name
        status, self.status = self.status, None
        if status:
            await context.abort(status, "too busy")
        results = []
        for transaction in request.transactions:
            decision = decision_pb2.Decision()
            decision.core.transaction_id = transaction.id
            decision.core.outcome = decision_pb2.OUTCOME_APPROVE
            results.append(
                fraud_scoring_pb2.CheckResult(
                    transaction_id=transaction.id, decision=decision
                )
            )
        return fraud_scoring_pb2.BatchCheckTransactionsResponse(results=results)

    async def ReportLabels(self, request, context):  # noqa: N802 gRPC's name
        status, self.status = self.status, None
        if status:
            await context.abort(status, "too busy")
        results = [
            fraud_scoring_pb2.LabelResult(transaction_id=label.transaction_id)
            for label in request.labels
        ]
        results[0].error.field = "verdict"
        results[0].error.message = "this version was already reported"
        return fraud_scoring_pb2.ReportLabelsResponse(results=results)


async def play(path, status, use=GrpcReplayDoor.check):
    server = grpc.aio.server()
    fraud_scoring_pb2_grpc.add_FraudScoringServicer_to_server(Slow(status), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    collector = Collector(path)
    rows = [
        Row(Transaction("default", f"t{n}", occurred_at_ms=n), None, 1_000)
        for n in range(300)
    ]
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await use(GrpcReplayDoor(channel, collector, ordered=True), rows)
    finally:
        await server.stop(None)
        collector.close()
    return collector


async def test_the_rows_of_a_missed_deadline_are_counted_and_the_others_decided(
    tmp_path,
):
    status = grpc.StatusCode.DEADLINE_EXCEEDED
    collector = await play(tmp_path / "a.parquet", status)
    assert (len(collector.refusals), collector.decided, collector.pending) == (
        250,
        50,
        0,
    )
    assert "missed its deadline" in collector.refusals[0][1]


def learn(door, rows):
    return door.learn([label_of(row) for row in rows])


async def test_labels_that_are_not_taken_are_counted_and_the_others_reported(tmp_path):
    status = grpc.StatusCode.DEADLINE_EXCEEDED
    collector = await play(tmp_path / "a.parquet", status, learn)
    late, taken_twice = collector.follow_ups_refused.items()
    assert "missed its deadline" in late[0]
    assert late[1] == 250
    assert taken_twice == ("verdict: this version was already reported", 1)


async def test_any_other_failure_ends_the_run(tmp_path):
    for use in (GrpcReplayDoor.check, learn):
        with pytest.raises(grpc.aio.AioRpcError):
            await play(tmp_path / "a.parquet", grpc.StatusCode.PERMISSION_DENIED, use)
