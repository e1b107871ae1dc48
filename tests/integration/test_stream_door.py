"""The stream door as a process, on the embedded broker and on a real Apache Kafka."""

import asyncio
import json

from oracle import out_of_order
from stream_parts import PROTOBUF, Input, create_topics, transaction

from scoring.core.features.catalogue import default_catalogue
from scoring.v1.decision_pb2 import Decision
from scoring.v1.transaction_pb2 import Transaction

PAN = "4111111111111111"


def payments(n: int, start: int = 0) -> list[Input]:
    return [Input.of(transaction(f"t{i}")) for i in range(start, start + n)]


def ids(n: int) -> list[str]:
    return [f"t{i}" for i in range(n)]


async def test_each_transaction_becomes_one_decision_with_its_transaction(stream):
    await stream.worker().ready()
    await stream.send(payments(300))
    counted = await stream.count(300)
    assert not counted.lost(ids(300))
    assert (counted.duplicated, counted.degraded, counted.letters) == (0, 0, [])
    [raw] = counted.raw["t7"]
    decision = Decision.FromString(raw)
    assert decision.transaction.id == "t7"
    assert decision.trace.position.startswith(f"{stream.prefix}transactions/")
    assert decision.core.reasons


async def test_the_same_transaction_twice_is_one_record(stream):
    await stream.worker().ready()
    await stream.send(payments(20))
    await stream.count(20, settle_s=0)
    await stream.send([*payments(20), *payments(1, start=20)])
    counted = await stream.count(21)
    assert counted.duplicated == 0
    assert not counted.lost(ids(21))


async def test_the_same_transaction_twice_in_one_poll_is_one_record(stream):
    await stream.send([*payments(20), *payments(21)])
    stream.worker()
    counted = await stream.count(21)
    assert (counted.duplicated, counted.letters) == (0, [])


async def test_another_payload_under_a_known_id_is_a_letter_that_tells_what_differs(
    stream,
):
    await stream.worker().ready()
    await stream.send(payments(3))
    await stream.count(3, settle_s=0)
    other = transaction("t1", amount_minor=2, device="another")
    await stream.send([Input.of(other)])
    counted = await stream.count(4)
    assert counted.reasons == {"CONFLICT": 1}
    assert counted.duplicated == 0
    [letter] = counted.letters
    assert letter.field == "id"
    assert "which differs in amount_minor, device;" in letter.message
    assert "another" not in letter.message.replace("another payload", "")


def poison(kind: int, id_: str) -> tuple[Input, str]:
    """One of seven kinds of poison, and the reason it must be given."""
    good = transaction(id_)
    raw = good.SerializeToString()
    key = good.card.encode()
    return [
        (Input(b"\xff\xfe garbage", key), "MALFORMED"),
        (Input(raw[:-2], key), "MALFORMED"),
        (Input(raw, key, "text/csv"), "UNKNOWN_TYPE"),
        (Input(b"x" * 300_000, key), "OVERSIZE"),
        (Input(raw, key, f"{PROTOBUF}; version=9"), "UNKNOWN_TYPE"),
        (Input.of(transaction("")), "INVALID"),
        (Input.of(transaction(id_, attributes={"n": PAN})), "CARD_NUMBER"),
    ][kind]


async def test_poison_is_laid_aside_for_its_reason_and_the_rest_is_decided(stream):
    bad = [poison(n % 7, f"p{n}") for n in range(200)]
    inputs = payments(1_800)
    for n, (one, _) in enumerate(bad):
        inputs.insert(n * 10, one)
    stream.worker()
    await stream.send(inputs)
    counted = await stream.count(2_000)
    assert not counted.lost(ids(1_800))
    assert counted.duplicated == 0
    assert not out_of_order(raw for [raw] in counted.raw.values())
    expected: dict[str, int] = {}
    for _, reason in bad:
        expected[reason] = expected.get(reason, 0) + 1
    assert counted.reasons == expected
    everything = b"".join(letter.SerializeToString() for letter in counted.letters)
    assert PAN.encode() not in everything


async def test_a_worker_killed_under_load_loses_and_repeats_nothing(stream):
    worker = await stream.worker().ready()
    sending = asyncio.ensure_future(stream.send(payments(3_000), rate=800))
    for restarts in (2, 3):
        await asyncio.sleep(1.2)
        worker.kill()
        worker.start()
        await worker.ready(times=restarts)
    await sending
    counted = await stream.count(3_000)
    assert not counted.lost(ids(3_000))
    assert (counted.duplicated, counted.conflicting, counted.degraded) == (0, 0, 0)


async def test_a_terminated_worker_settles_commits_and_leaves(stream):
    worker = await stream.worker().ready()
    await stream.send(payments(500))
    await stream.count(500, settle_s=0)
    assert worker.terminate() == 0
    assert await stream.committed() == 500
    await stream.worker().ready()
    await stream.send(payments(1, start=500))
    assert (await stream.count(501)).outputs == 501


async def test_without_the_store_the_worker_waits_and_degrades_nothing(stream):
    worker = await stream.worker().ready()
    await stream.send(payments(50))
    await stream.count(50, settle_s=0)
    stream.store.child.pause()
    await stream.send(payments(200, start=50))
    held = await stream.count(50, settle_s=2)
    assert len(held.decisions) < 250
    stream.store.child.resume()
    counted = await stream.count(250)
    assert not counted.lost(ids(250))
    assert (counted.duplicated, counted.degraded) == (0, 0)
    assert worker.process.poll() is None


async def test_a_worker_that_joins_and_one_that_leaves_change_nothing(stream):
    first = await stream.worker().ready()
    sending = asyncio.ensure_future(stream.send(payments(4_000), rate=500))
    await asyncio.sleep(1)
    second = await stream.worker().ready()
    await asyncio.sleep(1)
    assert first.terminate() == 0
    await sending
    counted = await stream.count(4_000)
    assert not counted.lost(ids(4_000))
    assert (counted.duplicated, counted.conflicting, counted.degraded) == (0, 0, 0)
    assert second.process.poll() is None


async def test_decisions_can_be_json_and_so_can_dead_letters(stream):
    await stream.worker(SCORING_DECISION_FORMAT="json").ready()
    await stream.send([*payments(1), Input(b"garbage", b"k")])
    counted = await stream.count(2)
    [raw] = counted.raw["t0"]
    said = json.loads(raw)
    assert said["core"]["transactionId"] == "t0"
    assert list(said["features"]) == list(default_catalogue().names)
    assert len(said["core"]["features"]) == len(said["features"])
    assert counted.reasons == {"MALFORMED": 1}


async def test_canonical_json_is_accepted(stream):
    await stream.worker().ready()
    body = json.dumps(
        {
            "id": "t0",
            "occurredAt": "2024-01-01T00:00:00Z",
            "amountMinor": "1000",
            "currency": "EUR",
            "card": "card-1",
        }
    ).encode()
    await stream.send([Input(body, b"card-1", "application/json")])
    counted = await stream.count(1)
    [raw] = counted.raw["t0"]
    assert Decision.FromString(raw).transaction == Transaction(
        tenant="default",
        id="t0",
        occurred_at=Decision.FromString(raw).transaction.occurred_at,
        amount_minor=1_000,
        currency="EUR",
        card="card-1",
    )


async def test_a_worker_refuses_to_start_on_unequal_partitions(stream):
    prefix, bootstrap = f"odd-{stream.prefix}", stream.broker.bootstrap
    await create_topics(bootstrap, prefix, partitions=2, names=("decisions",))
    await create_topics(bootstrap, prefix, partitions=3)
    worker = stream.worker(SCORING_TOPIC_PREFIX=prefix)
    while worker.process.poll() is None:
        await asyncio.sleep(0.05)
    assert worker.process.returncode == 2
    assert f"{prefix}decisions has 2 partitions" in worker.output.read_text()


async def test_several_workers_on_one_machine_share_the_partitions(stream):
    # Nobody dies here, so sessions are long: a member that a busy machine holds up past
    # a short one is thrown out with its append under way, and that is another test.
    env = {"SCORING_SESSION_TIMEOUT_S": "10"}
    worker = await stream.worker("--workers", "2", **env).ready()
    await stream.send(payments(400))
    counted = await stream.count(400)
    assert not counted.lost(ids(400))
    assert counted.duplicated == 0
    assert worker.terminate() == 0
