"""ReportLabels: a status of its own for each label, however many come at once."""

import asyncio
import time

import grpc
import pytest
from grpc_parts import DAY_MS, at, fresh_id, label, now_ms, open_door, payment

from scoring.core.features.catalogue import default_catalogue
from scoring.errors import LogUnavailable
from scoring.stores.memory.log import MemoryLog
from scoring.v1 import fraud_scoring_pb2 as calls

HOUR_MS = 3_600_000
STREAK = default_catalogue().names.index("terminal_fraud_streak")
CODES = {code.value[0]: code.name for code in grpc.StatusCode} | {0: "OK"}


@pytest.fixture(params=["log", "store"])
async def door(model_dir, request):
    """With a log, and without one, where labels go straight to the store."""
    async with open_door(model_dir, logs=request.param == "log") as opened:
        yield opened


async def report(door, *labels, within_s=5.0):
    request = calls.ReportLabelsRequest(labels=labels)
    reply = await door.stub.ReportLabels(request, timeout=within_s)
    return [(CODES[r.error.code], r.error.field) for r in reply.results]


def old_payment(**fields):
    return payment(at_ms=now_ms() - 10 * DAY_MS, **fields)


def appended(door):
    return len(door.service.log.of(door.service.topics.labels))


async def test_without_a_log_a_label_by_id_alone_is_joined_by_the_record(model_dir):
    one = old_payment(terminal="t-bad")
    async with open_door(model_dir, logs=False) as door:
        await door.check(one)
        told = label(one.id, known_at=at(now_ms() - 9 * DAY_MS))
        assert await report(door, told) == [("OK", "")]
        decision = await door.check(payment(terminal="t-bad"))
        assert decision.core.features[STREAK] == 1
        unknown = await report(door, label(fresh_id()))
        assert unknown == [("NOT_FOUND", "transaction_id")]


async def test_a_label_by_id_alone_that_the_record_lacks_is_left_to_the_worker(
    model_dir,
):
    async with open_door(model_dir) as door:
        assert await report(door, label(fresh_id())) == [("OK", "")]
        assert appended(door) == 1


@pytest.mark.parametrize("embedded", [False, True], ids=["by id", "with its payment"])
async def test_a_label_that_cannot_be_true_is_refused_naming_its_field(door, embedded):
    one = old_payment()
    await door.check(one)

    def told(**fields):
        return label(one.id, transaction=one if embedded else None, **fields)

    early, future = at(now_ms() - 11 * DAY_MS), at(now_ms() + 2 * HOUR_MS)
    assert await report(
        door,
        told(known_at=future),
        told(known_at=early),
        told(verdict=1),
        told(verdict=1),
        told(verdict=2),
        told(verdict=2, version=2),
        told(verdict=3, version=2),
    ) == [
        ("INVALID_ARGUMENT", "known_at"),
        ("INVALID_ARGUMENT", "known_at"),
        ("OK", ""),
        ("OK", ""),
        ("ALREADY_EXISTS", "verdict"),
        ("OK", ""),
        ("ALREADY_EXISTS", "verdict"),
    ]
    assert await report(door, told(verdict=2)) == [("ALREADY_EXISTS", "verdict")]


async def test_a_thousand_labels_are_taken_in_one_call_and_once(door):
    payments = [old_payment() for _ in range(1_000)]
    for start in range(0, 1_000, 250):
        batch = calls.BatchCheckTransactionsRequest(
            transactions=payments[start : start + 250]
        )
        await door.stub.BatchCheckTransactions(batch, timeout=30)
    labels = [label(one.id) for one in payments]
    for _ in range(2):  # a retry is no other than the first
        started = time.monotonic()
        told = await report(door, *labels, within_s=10)
        assert told == [("OK", "")] * 1_000
        assert time.monotonic() - started < 3, "a shared machine; 0.3 s alone"


class SlowLog(MemoryLog):
    """Acknowledges one append, and no other in time."""

    appends = 0

    async def append(self, records):
        self.appends += 1
        if self.appends > 1:
            await asyncio.sleep(60)
        await super().append(records)


class FailingLog(SlowLog):
    """Acknowledges one append; then it is unavailable."""

    async def append(self, records):
        if self.appends:
            raise LogUnavailable("away")
        await super().append(records)


@pytest.mark.parametrize(
    ("log", "code"),
    [(SlowLog, "DEADLINE_EXCEEDED"), (FailingLog, "UNAVAILABLE")],
)
async def test_where_the_time_or_the_log_ends_each_label_says_what_stands(
    model_dir, log, code
):
    async with open_door(model_dir, log=log()) as door:
        told = await report(door, *[label(fresh_id()) for _ in range(600)], within_s=2)
        assert told == [("OK", "")] * 250 + [(code, "")] * 350
        assert appended(door) == 250


async def test_where_nothing_was_taken_the_call_says_so(model_dir):
    log = FailingLog()
    log.appends = 1
    async with open_door(model_dir, log=log) as door:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await report(door, label(fresh_id()))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
