"""What is answered without the store, and when it is taken for back."""

import asyncio

from scoring.adapters.memory_store import MemoryStore
from scoring.adapters.spool import MemorySpool
from scoring.adapters.telemetry import SilentTelemetry
from scoring.core.catalogue import default_catalogue
from scoring.core.decision import Door, Outcome
from scoring.core.transaction import Transaction, payload_hash
from scoring.ports import Check, Recording
from scoring.provisional import Provisional

CATALOGUE = default_catalogue()


class Parts(MemoryStore):
    """A store of several servers, of which one may be away."""

    whole = False

    async def ping(self, **_):
        return self.whole


async def test_a_part_that_is_back_is_used_and_adoption_waits_for_the_rest():
    store = Parts(CATALOGUE, lateness_ms=1_000, dedupe_ms=1_000_000)
    provisional = Provisional(store, MemorySpool(count_max=9), SilentTelemetry(), 9)
    paid = Transaction("default", "t1", occurred_at_ms=1_700_000_000_000, card="c")
    hash_ = payload_hash(paid)
    recording = Recording(
        tenant="default",
        transaction_id="t1",
        payload_hash=hash_,
        decision=b"decided",
        logged=b"logged",
        transaction=paid,
        outcome=Outcome.REVIEW,
    )
    check = Check(
        transaction=paid,
        payload_hash=hash_,
        received_at_ms=paid.occurred_at_ms,
        door=Door.GRPC,
    )
    provisional.store_failed()
    provisional.keep(check, recording, log=False)
    while not provisional.store_available:
        await asyncio.sleep(0.01)
    assert provisional.count == 1
    assert await store.decisions([("default", "t1")]) == [None]
    store.whole = True
    while provisional.count:
        await asyncio.sleep(0.01)
    assert await store.decisions([("default", "t1")]) == [b"decided"]
    await provisional.close()
