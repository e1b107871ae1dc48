"""The simulated world keeps to its specification."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from scoring.core.features.catalogue import default_catalogue, handbook_catalogue
from scoring.core.transaction.transaction import Transaction, validate
from scoring.training.dataset import DAY_MS
from scoring.training.simulation.simulate import TRUTH_COLUMNS, World, simulate
from scoring.training.train import dataset_of

SMALL = World(seed=3, days=20, customers=400, terminals=800, radius=8.0)


@pytest.fixture(scope="module")
def world():
    return simulate(SMALL)


def test_the_same_seed_gives_the_same_world(world):
    assert world.equals(simulate(SMALL))


def test_another_seed_gives_another_world(world):
    other = simulate(World(seed=4, days=20, customers=400, terminals=800, radius=8.0))
    assert not world.equals(other)


def test_payments_come_in_event_order_with_unique_ids(world):
    times = world["occurred_at_ms"].to_numpy()
    assert (np.diff(times) >= 0).all()
    assert len(set(world["id"].to_pylist())) == world.num_rows


def test_every_row_is_an_acceptable_transaction(world):
    for row in world.drop(list(TRUTH_COLUMNS)).to_pylist():
        validate(Transaction("default", **row))


def test_every_pattern_of_fraud_occurs_and_fraud_means_a_scenario(world):
    scenario = world["scenario"].to_numpy()
    assert set(scenario) == {0, 1, 2, 3, 4, 5}
    assert (world["fraud"].to_numpy(zero_copy_only=False) == (scenario > 0)).all()


def test_amounts_above_220_are_never_genuine(world):
    amount, scenario = world["amount_minor"].to_numpy(), world["scenario"].to_numpy()
    assert (scenario[amount > 22_000] > 0).all()


def test_card_testing_tries_many_cards_on_one_device_within_minutes(world):
    tested = world.filter(np.equal(world["scenario"].to_numpy(), 4)).to_pydict()
    device = np.array(tested["device"])
    at_ms = np.array(tested["occurred_at_ms"])
    for one in set(device):
        rows = device == one
        assert np.ptp(at_ms[rows]) <= 600_000
        assert len(set(np.array(tested["card"])[rows])) > 10


def test_a_retry_belongs_to_the_payment_it_repeats(world):
    rows = world.to_pylist()
    payments = {r["payment_id"]: r for r in rows if r["attempt"] == 1}
    retries = [r for r in rows if r["attempt"] == 2]
    assert retries
    assert all(payments[r["payment_id"]]["card"] == r["card"] for r in retries)


def test_payments_are_as_frequent_as_specified(world):
    # 400 customers at a mean of two a day, of which 3 % fall outside midnight.
    genuine = world.filter(np.less(world["scenario"].to_numpy(), 4)).num_rows
    assert genuine == pytest.approx(400 * 2 * 20 * 0.969, rel=0.08)


@pytest.mark.parametrize("definitions", [default_catalogue, handbook_catalogue])
def test_every_feature_lies_within_the_bounds_that_rules_are_judged_by(
    world, definitions
):
    catalogue = definitions()
    rows = dataset_of(world, catalogue, label_delay_ms=7 * DAY_MS)
    for name, values in zip(catalogue.names, rows.matrix.T, strict=True):
        known = values[~np.isnan(values)]
        low, high, whole = catalogue.features[name].bounds
        assert ((known >= low) & (known <= high)).all(), name
        assert not whole or (known % 1 == 0).all(), name


def test_only_online_payments_bring_an_address_and_tested_cards_share_one(world):
    rows = world.to_pylist()
    assert {bool(row["ip"]) for row in rows if row["channel"] == 2} == {True}
    assert {(row["ip"], row["email"]) for row in rows if row["channel"] != 2} == {
        ("", "")
    }
    tested = [row for row in rows if row["scenario"] == 4]
    assert len({row["email"] for row in tested}) == len(tested)
    assert len({row["ip"] for row in tested}) == len({row["device"] for row in tested})


def test_addresses_draw_no_chance(world):
    """The world without them is the one that every published figure was made of."""
    columns = ("id", "customer", "terminal", "amount_minor", "device", "scenario")
    told = "".join(
        str(row) for row in zip(*(world[c].to_pylist() for c in columns), strict=True)
    )
    assert sha256(told.encode()).hexdigest()[:16] == "48197364cf63b855"
