"""Smaller catalogues for each kind of payment; what is not brought costs nothing."""

import asyncio
import random
from dataclasses import replace
from importlib import resources

import numpy as np
import pyarrow as pa
import pytest
from history_parts import state
from lifecycle_parts import LIFECYCLE
from streams import PAID, check
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.core.features.catalogue import load_default
from scoring.core.features.slot import Kind
from scoring.core.features.vector import vectorise
from scoring.core.transaction.fields import Role
from scoring.core.transaction.transaction import FIELDS, TOKEN_FIELDS
from scoring.history.feature_costs import costs
from scoring.models.onnx_model import load_model
from scoring.stores.memory.store import MemoryStore
from scoring.stores.redis.entity_record import RecordLayout
from scoring.stores.redis.formats import SIGHTING
from scoring.stores.redis.store import RedisStore
from scoring.training.build import Recipe
from scoring.training.fit import Boosting
from scoring.training.train import train_bundle

KINDS = ("ecommerce", "pos", "account-to-account")
CATALOGUES = {kind: load_default(f"features-{kind}") for kind in KINDS}
TERMS = {"lateness_ms": 86_400_000, "dedupe_ms": 86_400_000}
ENTITIES = [f.name for f in FIELDS if f.role is Role.ENTITY and f.name in TOKEN_FIELDS]
RECIPE = Recipe(boosting=Boosting(rounds=5, depth_max=2), label_delay_ms=0)


def payments(count=1_500, *, seed=3):
    """Payments that bring every field; large ones are often frauds."""
    rnd, made = random.Random(seed), []
    for i in range(count):
        who = rnd.randrange(60)
        own = {name: f"{name}-{who % (9 + n)}" for n, name in enumerate(ENTITIES)}
        own |= {"ip": f"10.0.{who % 7}.1", "email": f"user{who}@shop.test"}
        own["amount_minor"] = rnd.choice((500, 900, 1_500, 95_000))
        at_ms = PAID.occurred_at_ms + i * 60_000
        made.append(replace(PAID, id=f"t{i}", occurred_at_ms=at_ms, channel=2, **own))
    return made


def as_table(stream, rnd):
    names = ["id", "occurred_at_ms", "amount_minor", "currency", "channel", *ENTITIES]
    columns = {name: [getattr(t, name) for t in stream] for name in names}
    frauds = [rnd.random() < (0.5 if t.amount_minor > 9_000 else 0.02) for t in stream]
    return pa.table(columns | {"fraud": frauds})


@pytest.mark.parametrize("kind", KINDS)
def test_a_catalogue_is_printed_as_it_is_shipped_and_passes_its_check(kind, tmp_path):
    run = CliRunner().invoke
    app = assemble()
    printed = run(app, ["features", "shipped", "--for", kind])
    file = resources.files("scoring.defaults").joinpath(f"features-{kind}.yaml")
    assert printed.output == file.read_text("utf-8")
    own = tmp_path / "own.yaml"
    own.write_text(printed.output)
    checked = run(app, ["features", "check", str(own)])
    assert checked.exit_code == 0, checked.output
    names = [plan.name for plan in CATALOGUES[kind].plans]
    for name in (*names, "bytes/payment", "µs/payment", "embedded Valkey"):
        assert name in checked.output


def test_the_default_is_printed_without_a_kind():
    printed = CliRunner().invoke(assemble(), ["features", "shipped"])
    file = resources.files("scoring.defaults").joinpath("features.yaml")
    assert printed.output == file.read_text("utf-8")


def test_the_costs_are_of_every_entity_and_of_the_bytes_that_are_stored():
    found = costs(CATALOGUES["pos"])
    assert [c.plan.name for c in found] == [p.name for p in CATALOGUES["pos"].plans]
    assert all(c.payment_us and c.payment_us > 0 for c in found)
    for cost in found:
        met = sum(c.kind is Kind.COUNTERPART for c in cost.plan.columns)
        stored = RecordLayout(cost.plan).table()["size"]
        assert cost.payment_bytes == stored + met * SIGHTING.size


def test_a_statistic_over_events_is_counted_where_it_costs():
    found = {cost.plan.name: cost.features for cost in costs(LIFECYCLE)}
    assert (found["card"], found["card.events"]) == (1, 5)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_payment_does_not_bring_costs_no_key_and_no_byte(
    kind, own_store, store_namespace
):
    catalogue = CATALOGUES[kind]
    store = await RedisStore.connect(
        own_store.url, catalogue=catalogue, namespace=store_namespace, **TERMS
    )
    bare = replace(PAID, id="bare", **dict.fromkeys(ENTITIES, ""))
    [seen] = await store.observe([check(bare)])
    assert np.isnan(seen.values).all()
    await store.close()
    kept = await state(own_store.url, store_namespace)
    assert not [k for k in kept if any(p.name.encode() in k for p in catalogue.plans)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_trains_on_the_catalogue_and_serves_what_it_learned_from(
    kind, tmp_path
):
    catalogue, stream = CATALOGUES[kind], payments()
    table = as_table(stream, random.Random(4))
    train_bundle(table, catalogue, tmp_path / "m", recipe=RECIPE)
    model = load_model(tmp_path / "m", catalogue=catalogue)

    async def served():
        store = MemoryStore(catalogue, **TERMS)
        return await store.observe([check(t) for t in stream[:50]])

    seen = asyncio.run(served())
    matrix = vectorise(catalogue, stream[:50], [o.values for o in seen])
    scores = model.predict(matrix).probability
    assert np.isfinite(scores).all()
