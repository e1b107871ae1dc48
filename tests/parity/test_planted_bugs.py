"""Five classic bugs, planted one by one: the comparison must turn red each time."""

import random

import pytest
from streams import DAY_MS, DEDUPE_MS, LATENESS_MS, Shape, check, labels, transactions

from scoring.core.features.catalogue import default_catalogue
from scoring.stores.memory.store import MemoryStore
from scoring.stores.redis import script_compiler
from scoring.stores.redis.lua_source import names, with_values
from scoring.stores.redis.store import RedisStore

CATALOGUE = default_catalogue()
TERMS = {"lateness_ms": LATENESS_MS, "dedupe_ms": DEDUPE_MS}
BUGS = {
    "a window closed at both ends": (
        "local instant = now - edges[i]",
        "local instant = now - edges[i] - 1",
    ),
    "money summed in floats": (
        "        low = low + v\n        if low < 0",
        "        low = low + floor(v * 1.1)\n        if low < 0",
    ),
    "a tie put before what was processed before it": (
        "  return b, false\nend",
        "  return until_(e, at - 1, b), false\nend",
    ),
    "a label used before it arrived": (
        "if known <= at then bits = b end",
        "bits = b",
    ),
    "a life shorter than the windows": (
        "call('PEXPIRE', e.key, plan.ttl)",
        "call('PEXPIRE', e.key, 1)",
    ),
}


async def is_red(url, namespace):
    """Whether a comparison with the reference finds anything wrong."""
    store = await RedisStore.connect(
        url, catalogue=CATALOGUE, namespace=namespace, **TERMS
    )
    oracle, rnd = MemoryStore(CATALOGUE, **TERMS), random.Random(11)
    shape = Shape(count=200, labelled=0.6, silence=0)
    stream = transactions(rnd, shape)
    red = False
    for i in range(0, len(stream), 5):
        checks = [check(t) for t in stream[i : i + 5]]
        ours, theirs = await store.observe(checks), await oracle.observe(checks)
        for a, b in zip(ours, theirs, strict=True):
            same = (a.values == b.values) | (
                (a.values != a.values) & (b.values != b.values)
            )
            red = red or not same.all() or bool(a.degradations)
        known = labels(rnd, stream[i : i + 5], shape)
        await store.learn(known)
        await oracle.learn(known)
    await store.close()
    return red


async def test_without_a_bug_the_comparison_is_green(store_url, store_namespace):
    assert not await is_red(store_url, store_namespace)


@pytest.mark.parametrize("name", BUGS)
async def test_a_planted_bug_turns_the_comparison_red(
    name, store_url, store_namespace, monkeypatch
):
    right, wrong = (with_values(text, names()) for text in BUGS[name])
    build = script_compiler.Program.__init__

    def planted(program, catalogue, terms):
        build(program, catalogue, terms)
        assert program.source.count(right) == 1, "the planted line has changed"
        program.source = program.source.replace(right, wrong)
        program.name += f"_{abs(hash(name))}"

    monkeypatch.setattr(script_compiler.Program, "__init__", planted)
    assert await is_red(store_url, store_namespace)


def test_the_stream_reaches_past_every_window():
    stream = transactions(random.Random(11), Shape(count=200, silence=0))
    span_ms = stream[-1].occurred_at_ms - stream[0].occurred_at_ms
    assert span_ms > 30 * DAY_MS
