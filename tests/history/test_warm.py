"""Other definitions are warmed beside the live ones, and stopped nowhere."""

import random
from importlib import resources

from history_parts import cells, connected, rebuilt, same, state
from streams import Shape, check, labels, transactions

from scoring.core.features.catalogue import load_catalogue

_SHIPPED = resources.files("scoring.defaults").joinpath("features.yaml").read_text()
OTHER = load_catalogue(
    _SHIPPED.replace(
        "  # The device --",
        """  - name: card_median_hour_{window}
    entity: card
    statistic: count
    filter: hour < 12
    windows: [3h, 30d]
    reason_group: CARD_VELOCITY
    description: Payments of the card in the morning, in {window}

  # The device --""",
    ),
    name="other.yaml",
)


async def test_the_keys_of_new_definitions_hold_what_they_always_would_have(
    life, settings, archive
):
    rnd, shape = random.Random(12), Shape(count=240, late=0, labelled=0.3)
    stream = transactions(rnd, shape)
    await life.pay(stream[:120], rnd)
    await life.learn(labels(rnd, stream[:120], shape), bare=True)
    before = await state(settings.redis_url, settings.namespace)

    await rebuilt(settings, archive, catalogue=OTHER, marks=False)

    after = await state(settings.redis_url, settings.namespace)
    assert {key: after[key] for key in before} == before, "the live keys were touched"
    # The live servers went on; one more pass, and the new ones may take over.
    await life.pay(stream[120:], rnd)
    await rebuilt(settings, archive, catalogue=OTHER, marks=False)
    warmed = await connected(settings.redis_url, settings.namespace, OTHER)
    always = await connected(settings.redis_url, f"{settings.namespace}-a", OTHER)
    await always.observe([check(t) for t in stream])
    await always.learn(life.labelled)
    compared, wrong = same(await cells(always, stream), await cells(warmed, stream))
    assert compared > 10_000
    assert wrong == 0
    await warmed.close()
    await always.close()
