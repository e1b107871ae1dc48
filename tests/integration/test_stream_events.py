"""Lifecycle events by topic: applied once, joined by id, refused with a reason."""

import asyncio

from google.protobuf.timestamp_pb2 import Timestamp
from redis.asyncio import Redis
from stream_parts import NOW_MS, Input, transaction

from scoring.stores.redis.formats import NOTE
from scoring.v1.transaction_pb2 import LifecycleEvent, LifecycleKind

KEY = "live:f:default:{}"


def event(id_: str, event_id: str = "e1", *, payment=None, **fields) -> Input:
    known = {"kind": LifecycleKind.LIFECYCLE_KIND_ISSUER_DECLINED} | fields
    message = LifecycleEvent(
        transaction_id=id_,
        event_id=event_id,
        occurred_at=Timestamp(seconds=NOW_MS // 1_000),
        transaction=payment,
        **known,
    )
    return Input(message.SerializeToString(), b"card")


async def kept(stream, id_: str) -> list[LifecycleEvent]:
    """What the store knows of a payment."""
    async with Redis.from_url(stream.store.url) as store:
        found = await store.hgetall(KEY.format(id_))
    return [LifecycleEvent.FromString(note[NOTE.size :]) for note in found.values()]


async def test_events_are_applied_once_and_bad_ones_become_letters(stream):
    """Early, whole, repeated, conflicting, unknown, mistaken and malformed ones."""
    await stream.worker().ready()
    early, known = transaction("early"), transaction("known")
    await stream.send([event("early")], topic="events")
    await asyncio.sleep(0.5)
    await stream.send([Input.of(early), Input.of(known)])
    await stream.count(2, settle_s=0)
    stranger = transaction("elsewhere")
    await stream.send(
        [
            event("known"),
            event("known"),
            event("known", amount_minor=5),
            event("elsewhere", payment=stranger),
            event("nobody"),
            event("known", "e2", kind=0),
            event("known", "e3", issuer_code="4111111111111111"),
            Input(b"\xff\xff", b"card"),
        ],
        topic="events",
    )

    await stream.labels_taken(9, topic="events")
    counted = await stream.label_letters(2 + 5, kind="events")
    assert counted.reasons == {
        "CARD_NUMBER": 1,
        "CONFLICT": 1,
        "INVALID": 1,
        "MALFORMED": 1,
        "UNKNOWN_TRANSACTION": 1,
    }
    for id_ in ("early", "known", "elsewhere"):
        [one] = await kept(stream, id_)
        assert (one.event_id, one.HasField("known_at")) == ("e1", True)
    assert await kept(stream, "nobody") == []
