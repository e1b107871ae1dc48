"""What a second look costs: the larger model, and another exchange for links.

Link features count what two things did together (this card at this terminal, this
device in this country). Their state is written with every payment, so a second look
could save no more than their reading: the question is what that reading costs in the
exchange that is made anyway, and what it costs in one of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from scoring.core.decision.decision import Door
from scoring.core.features.catalogue import Catalogue, load_catalogue
from scoring.core.model.bundle import Band
from scoring.core.transaction.transaction import Transaction, payload_hash
from scoring.embedded.store import embedded_store
from scoring.models.onnx_model import OnnxModel, load_model
from scoring.pipeline.second_look import look_again
from scoring.ports.check import Check
from scoring.stores.redis.store import RedisStore
from scoring.training.build import Recipe, train_on
from scoring.training.second_look import SecondLookPlan
from scoring.training.simulation.simulate import simulate
from scoring.training.train import DEMO_RECIPE, DEMO_WORLD, dataset_of

ROUNDS = 9
PAYMENTS = 960
BATCHES = (1, 16)
NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
_LINKS = {
    "card_terminal": ("card", "terminal"),
    "card_device": ("card", "device"),
    "customer_merchant": ("customer", "merchant"),
    "card_ip": ("card", "ip_country"),
    "device_ip": ("device", "ip_country"),
}


def catalogues() -> dict[str, Catalogue]:
    """The shipped features, the links alone, and both together."""
    text = (files("scoring.defaults") / "features.yaml").read_text()
    shipped = yaml.safe_load(text)
    entities = {name: list(fields) for name, fields in _LINKS.items()}
    features = [
        {
            "name": f"{name}_{statistic}_{{window}}",
            "entity": name,
            "statistic": statistic,
            "windows": ["1d", "7d", "30d"],
            "reason_group": "LINKS",
            "description": f"{statistic} of the link in {{window}}",
        }
        for name in _LINKS
        for statistic in ("count", "sum")
    ]
    written = {
        "shipped": shipped,
        "links": shipped | {"entities": entities, "features": features},
        "both": shipped
        | {
            "entities": shipped["entities"] | entities,
            "features": shipped["features"] + features,
        },
    }
    return {
        name: load_catalogue(yaml.safe_dump(one, sort_keys=False), name=name)
        for name, one in written.items()
    }


def payments(start_ms: int, *, prefix: str) -> list[Check]:
    """Payments of a small town, a second apart."""
    rnd = random.Random(7)
    checks = []
    for i in range(PAYMENTS):
        who, where = rnd.randrange(200), rnd.randrange(400)
        transaction = Transaction(
            "default", f"{prefix}-{i}", occurred_at_ms=start_ms + i * 1_000,
            amount_minor=rnd.randrange(100, 100_000), currency="EUR",
            card=f"card-{who}", customer=f"customer-{who}", device=f"device-{who}",
            terminal=f"terminal-{where}", merchant=f"merchant-{where // 4}",
            ip_country=rnd.choice(("DE", "FR", "NL")),
        )  # fmt: skip
        checks.append(
            Check(
                transaction=transaction,
                payload_hash=payload_hash(transaction),
                received_at_ms=start_ms,
                door=Door.GRPC,
            )
        )
    return checks


async def observed_us(
    stores: Sequence[RedisStore], checks: list[Check], *, size: int
) -> float:
    """Median microseconds a payment; the second store is only read."""
    times = []
    for start in range(0, len(checks), size):
        batch = checks[start : start + size]
        again = [replace(check, dry_run=True) for check in batch]
        began = time.perf_counter()
        await stores[0].observe(batch)
        for store in stores[1:]:
            await store.observe(again)
        times.append((time.perf_counter() - began) / len(batch))
    return statistics.median(times) * 1e6


async def exchanges(url: str) -> dict[str, float]:
    """Microseconds a payment: one exchange, one with links, a second one for links."""
    known = catalogues()
    stores = {
        name: await RedisStore.connect(
            url,
            catalogue=catalogue,
            namespace=name,
            lateness_ms=DAY_MS,
            dedupe_ms=10**9,
        )
        for name, catalogue in known.items()
    }
    for store in stores.values():
        await store.observe(payments(NOW_MS - DAY_MS, prefix="before"))
    ways = {
        "shipped": ("shipped",),
        "links_beside": ("both",),
        "links_after": ("shipped", "links"),
    }
    found: dict[str, list[float]] = {}
    for i in range(ROUNDS):
        for size in BATCHES:
            for name, used in ways.items():
                checks = payments(NOW_MS + i * DAY_MS, prefix=f"{i}-{size}-{name}")
                us = await observed_us([stores[u] for u in used], checks, size=size)
                found.setdefault(f"{name}_us_{size}", []).append(us)
    for store in stores.values():
        await store.close()
    return {name: round(statistics.median(us), 1) for name, us in found.items()}


def models() -> tuple[OnnxModel, Any, dict[str, Any]]:
    """A bundle of two models as `--second-look` trains them; and held-out rows."""
    from scoring.core.features.catalogue import default_catalogue

    catalogue = default_catalogue()
    table = simulate(DEMO_WORLD)
    dataset = dataset_of(table, catalogue, label_delay_ms=DEMO_RECIPE.label_delay_ms)
    recipe = Recipe(
        second_look=SecondLookPlan(band=Band(low=0.0, high=1.0)),
        label_delay_ms=DEMO_RECIPE.label_delay_ms,
    )
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "bundle"
        began = time.perf_counter()
        train_on(dataset, out, catalogue=catalogue, recipe=recipe)
        trained_s = time.perf_counter() - began
        began = time.perf_counter()
        model = load_model(out, catalogue=catalogue)
        told = {
            "train_s": round(trained_s, 1),
            "load_ms": round((time.perf_counter() - began) * 1e3),
            "second_bytes": (out / "second.onnx").stat().st_size,
            "first_bytes": (out / "model.onnx").stat().st_size,
        }
    return model, dataset.matrix[-8_192:], told


def looks(model: OnnxModel, rows: Any) -> dict[str, float]:
    """Microseconds a row of either model with reasons, and of finding nothing due."""
    assert model.deeper is not None
    nothing = replace(model.deeper, band=Band(low=0.999999, high=1.0))
    first = model.predict(rows[:256])
    timed = {
        "first_us": model.predict,
        "larger_us": model.deeper.model.predict,
    }
    found: dict[str, list[float]] = {}
    for i in range(ROUNDS * 5):
        for size in (1, 16, 256):
            part = np.ascontiguousarray(rows[i * 7 : i * 7 + size])
            for name, call in timed.items():
                began = time.perf_counter()
                call(part)
                us = (time.perf_counter() - began) / size * 1e6
                found.setdefault(f"{name}_{size}", []).append(us)
        began = time.perf_counter()
        look_again(nothing, rows[:256], first)
        us = (time.perf_counter() - began) * 1e6
        found.setdefault("nothing_due_us_a_batch_of_256", []).append(us)
    return {name: round(statistics.median(us), 1) for name, us in found.items()}


def main() -> None:
    """Measure both halves; the last line is one JSON object."""
    with embedded_store() as url:
        store = asyncio.run(exchanges(url))
    model, rows, told = models()
    line = {"figure": "second_look", **store, **looks(model, rows), **told}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
