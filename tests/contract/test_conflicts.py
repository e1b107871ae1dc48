"""A conflict names the fields in which a payment differs from the one decided."""

import time
from dataclasses import replace

import pytest
from contract_parts import PAID, observed, recording
from streams import check

from scoring.errors import StoreUnavailable, TransactionConflict
from scoring.pipeline.conflicts import explained
from scoring.pipeline.store_gateway import StoreGateway
from scoring.telemetry.prometheus import SilentTelemetry

CONFLICT = TransactionConflict(PAID.id)


async def told(store, sent):
    gateway = StoreGateway(store, SilentTelemetry(), time.monotonic)
    [answer] = await explained(gateway, [check(sent)], [CONFLICT])
    return answer


@pytest.fixture
async def decided(store):
    """A store that decided a payment."""
    await observed(store, PAID)
    await store.record([replace(recording(PAID), transaction=PAID)])
    return store


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"occurred_at_ms": PAID.occurred_at_ms + 1}, ("occurred_at",)),
        ({"amount_minor": 9, "card": "card-2"}, ("amount_minor", "card")),
        ({"amount_minor": None}, ("amount_minor",)),
        ({"latitude": 1.0, "longitude": 2.0}, ("location",)),
        ({"attributes": {"k": "v"}}, ("attributes",)),
    ],
)
async def test_the_fields_that_differ_are_named(decided, changed, named):
    conflict = await told(decided, replace(PAID, **changed))
    assert conflict.differing == named
    assert f"which differs in {', '.join(named)};" in str(conflict)


async def test_what_is_not_decided_yet_is_a_conflict_without_names(store):
    await observed(store, PAID)
    assert await told(store, replace(PAID, amount_minor=9)) is CONFLICT


async def test_a_store_that_fails_leaves_the_conflict_as_it_was(decided, monkeypatch):
    async def fails(*_args, **_options):
        raise StoreUnavailable("away")

    monkeypatch.setattr(decided, "payments", fails)
    assert await told(decided, replace(PAID, amount_minor=9)) is CONFLICT
