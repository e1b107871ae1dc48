"""A check without its amount: unknown to rules, model and history, never 0.00."""

from math import isnan

import pytest
from grpc_parts import open_door, payment
from store_parts import connected

from scoring.core.features.catalogue import default_catalogue
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1.decision_pb2 import DegradationCode, Rung

NAMES = default_catalogue().names
LEFT_OUT = [(DegradationCode.DEGRADATION_CODE_AMOUNT_UNKNOWN, "amount_minor")]


@pytest.fixture
async def door(model_dir, store_url, store_namespace):
    store = await connected(store_url, store_namespace)
    async with open_door(model_dir, store) as door:
        yield door
    await store.close()


async def check(door, id_, **fields):
    made = payment(id_, card="a1", **fields)
    if fields.get("amount_minor", 20_000) is None:
        made.ClearField("amount_minor")
    request = calls.CheckTransactionRequest(transaction=made)
    return (await door.stub.CheckTransaction(request, timeout=20)).decision.core


def feature(core, name):
    return core.features[NAMES.index(name)]


def degradations(core):
    return [(d.code, d.detail) for d in core.degradations]


async def test_an_amount_left_out_is_unknown_and_the_payment_counts(door):
    await check(door, "a-before", amount_minor=20_000)
    without = await check(door, "a-without", amount_minor=None)
    assert isnan(feature(without, "amount"))
    assert feature(without, "card_count_1h") == 2
    assert degradations(without)[:1] == LEFT_OUT
    assert without.rung == Rung.RUNG_PARTIAL_FEATURES
    assert "AMOUNT_UNKNOWN" in [reason.code for reason in without.reasons]


async def test_an_amount_of_0_is_an_amount(door):
    verified = await check(door, "a-verified", amount_minor=0)
    assert feature(verified, "amount") == 0
    assert not verified.degradations
    assert verified.rung == Rung.RUNG_FULL


async def test_an_amount_of_0_and_none_are_different_payloads(door):
    zero = await check(door, "a-zero", amount_minor=0)
    none = await check(door, "a-none", amount_minor=None)
    assert zero.payload_hash != none.payload_hash


async def test_a_currency_without_a_rate_is_an_unknown_amount(door):
    dinars = await check(door, "a-dinars", currency="KWD", amount_minor=2_000_000_000)
    assert isnan(feature(dinars, "amount"))
    assert degradations(dinars)[0] == (LEFT_OUT[0][0], "currency")
    assert dinars.rung == Rung.RUNG_PARTIAL_FEATURES


@pytest.mark.parametrize("unknown", [{"amount_minor": None}, {"currency": "KWD"}])
async def test_what_follows_on_the_card_says_that_its_sums_are_at_least(door, unknown):
    await check(door, "a-first", amount_minor=20_000)
    await check(door, "a-unknown", **unknown)
    after = await check(door, "a-after", amount_minor=10_000)
    assert feature(after, "card_sum_1h") == 30_000
    assert feature(after, "card_count_1h") == 3
    assert {"card_sum_1h", "card_max_1d"} <= set(after.inexact_features)
    assert isnan(feature(after, "card_mean_30d"))
    history = DegradationCode.DEGRADATION_CODE_HISTORY_AMOUNT_UNKNOWN
    assert (history, "card") in degradations(after)
    assert after.rung == Rung.RUNG_PARTIAL_FEATURES
