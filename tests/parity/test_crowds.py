"""More counterparts than an entity keeps: flagged, never wrong, never too many."""

import random
from dataclasses import replace

import numpy as np
import pytest
from streams import DEDUPE_MS, LATENESS_MS, Shape, check, transactions

from scoring.core.features.catalogue import load_catalogue
from scoring.stores.memory.store import MemoryStore
from scoring.stores.redis.store import RedisStore

TERMS = {"lateness_ms": LATENESS_MS, "dedupe_ms": DEDUPE_MS}
CROWDS = load_catalogue(
    """\
name: crowds
currency: {reference: EUR}
limits: {distinct_max: 16}
entities: {card: card}
features:
  - {name: 'card_merchants_{window}', entity: card, statistic: distinct,
     of: merchant, windows: [1h, 1d], reason_group: ANY, description: merchants}
  - {name: 'card_devices_{window}', entity: card, statistic: distinct,
     of: device, windows: [7d], reason_group: ANY, description: devices}
""",
    name="crowds.yaml",
)


@pytest.mark.parametrize("seed", range(4))
async def test_beyond_the_counterparts_kept_a_count_is_flagged_and_means_at_least(
    seed, store_url, store_namespace
):
    store = await RedisStore.connect(
        store_url, catalogue=CROWDS, namespace=store_namespace, **TERMS
    )
    oracle, rnd, flagged = MemoryStore(CROWDS, **TERMS), random.Random(seed), 0
    for t in transactions(rnd, Shape(count=400, silence=0)):
        met = f"m{rnd.randrange(60)}", f"d{rnd.randrange(rnd.choice((8, 40)))}"
        crowded = replace(t, merchant=met[0], device=met[1])
        (ours,) = await store.observe([check(crowded)])
        (exact,) = await oracle.observe([check(crowded)])
        assert not ours.degradations
        for i, names in enumerate(CROWDS.slot_features):
            if set(names) & set(ours.inexact):
                assert ours.values[i] <= exact.values[i]
                flagged += 1
            else:
                assert np.array_equal(ours.values[i], exact.values[i], equal_nan=True)
    await store.close()
    assert flagged
