"""What five challengers cost the champion: its median latency with ÷ without them.

A real server, store and broker; unary calls at 30 % of the server's peak, Poisson
arrivals; rounds with and without `scoring shadow` take turns, so that both meet the
same machine. Everything shares its cores. A pair of rounds counts where the generator
was late in neither; with fewer than two such pairs there is no ratio.

    make bench NAME=shadow
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

from benchmarks.grpc_drive import Driver, started
from load_tests.open_loop import closed_loop
from scoring.core.features.catalogue import default_catalogue
from scoring.embedded.service import parts
from scoring.kafka.topic_admin import create_topics
from scoring.kafka.topic_names import Topics
from scoring.models.registry import ModelRegistry
from scoring.training.build import train_on
from scoring.training.simulation.simulate import simulate
from scoring.training.train import DEMO_RECIPE, DEMO_WORLD, dataset_of

CHALLENGERS = 5
LOAD = 0.3
ROUNDS = 3
PAIRS_MIN = 2  # fewer valid pairs of rounds measure nothing
ROUND_S = 6.0
SETTLE_S = 2.0  # the challengers catch up with what the round before left them
PEAK_S = 3.0
PREFIX = "bench-shadow."
Round = tuple[float, bool]  # median latency, and whether the generator was late


def registry_in(directory: Path) -> tuple[ModelRegistry, list[str]]:
    """A champion and five challengers, which differ in their rounds."""
    registry, catalogue = ModelRegistry(directory), default_catalogue()
    world = replace(DEMO_WORLD, days=16, customers=500, terminals=1_000)
    dataset = dataset_of(
        simulate(world), catalogue, label_delay_ms=DEMO_RECIPE.label_delay_ms
    )
    versions = []
    for extra in range(CHALLENGERS + 1):
        boosting = replace(
            DEMO_RECIPE.boosting, rounds=DEMO_RECIPE.boosting.rounds + extra
        )
        with registry.draft() as draft:
            recipe = replace(DEMO_RECIPE, boosting=boosting)
            manifest = train_on(dataset, draft, catalogue=catalogue, recipe=recipe)
            registry.add(draft, manifest.version)
        versions.append(manifest.version)
    return registry, versions[1:]


@contextmanager
def shadowing(
    environment: dict[str, str], registry: ModelRegistry, versions: list[str]
) -> Iterator[None]:
    """`scoring shadow` beside the server until the block ends."""
    command = [sys.executable, "-u", "-m", "scoring", "shadow", *versions]
    process = subprocess.Popen(
        [*command, "--dir", str(registry.root)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        if not process.stdout.readline().startswith("shadowing"):
            raise SystemExit("the challengers never began")
        sleep(SETTLE_S)
        yield
    finally:
        process.terminate()
        said = process.stdout.read()
        process.wait(30)
        judged = int(said.split(" judged")[0].split()[-1])
        if not judged:
            raise SystemExit("the challengers judged nothing")


async def median_ms(driver: Driver, *, per_s: float, seed: int) -> Round:
    """The median latency of one round, and whether the generator was late."""
    run = await driver.paced(per_s=per_s, seconds=ROUND_S, seed=seed)
    summary = run.summary()
    return float(summary["p50_ms"]), run.void  # type: ignore[arg-type]


async def measured(
    driver: Driver,
    environment: dict[str, str],
    registry: ModelRegistry,
    versions: list[str],
) -> dict[str, Any]:
    """Rounds in turn, and what they say together."""
    peak = await closed_loop(driver.unary, in_flight=32, seconds=PEAK_S)
    per_s = LOAD * peak.statuses["OK"] / PEAK_S
    rounds = []
    for seed in range(ROUNDS):
        await asyncio.sleep(SETTLE_S)
        alone = await median_ms(driver, per_s=per_s, seed=seed)
        with shadowing(environment, registry, versions):
            beside = await median_ms(driver, per_s=per_s, seed=seed)
        rounds.append((alone, beside))
    return {**compared(rounds), "per_s": round(per_s)}


def compared(rounds: Sequence[tuple[Round, Round]]) -> dict[str, Any]:
    """The ratio of the medians over the pairs that count; the medians of all rounds.

    >>> on_time, late = (2.0, False), (9.0, True)
    >>> pair, void = ((1.0, False), on_time), (on_time, late)
    >>> compared([pair, void, pair])["shadow_cost_ratio_5"]
    2.0
    >>> compared([pair, void, void])["shadow_cost_ratio_5"] is None
    True
    """
    valid = [
        (alone[0], beside[0])
        for alone, beside in rounds
        if not alone[1] and not beside[1]
    ]
    without = [alone[0] for alone, _ in rounds]
    with_them = [beside[0] for _, beside in rounds]
    return {
        "shadow_cost_ratio_5": ratio(valid) if len(valid) >= PAIRS_MIN else None,
        "valid_pairs": len(valid),
        "void_rounds": sum(late for pair in rounds for _, late in pair),
        "without_ms": without,
        "with_ms": with_them,
        "median_without_ms": statistics.median(without),
        "median_with_ms": statistics.median(with_them),
    }


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """The median of the second ones ÷ the median of the first ones."""
    without, with_them = zip(*pairs, strict=True)
    return float(round(statistics.median(with_them) / statistics.median(without), 3))


def main() -> None:
    """Run it; the last line is one JSON object."""
    with TemporaryDirectory() as scratch, parts() as outside:
        registry, versions = registry_in(Path(scratch) / "models")
        environment = {
            **outside.environment,
            "SCORING_TOPIC_PREFIX": PREFIX,
            "SCORING_MODEL_DIR": str(registry.root),
            "SCORING_STATE_DIR": scratch,
            "SCORING_GRPC_ADDRESS": "127.0.0.1:0",
            # A budget that ends would cut short what is measured.
            "SCORING_BUDGET_MS": "5000",
            "SCORING_STORE_BUDGET_MS": "2500",
        }
        asyncio.run(create_topics(outside.client, Topics(PREFIX), partitions=4))
        server, address = started(
            [sys.executable, "-u", "-m", "scoring", "serve"], environment
        )
        try:
            found = asyncio.run(
                _driven(server.pid, address, environment, registry, versions)
            )
        finally:
            server.terminate()
            server.wait(30)
    print(json.dumps(found))


async def _driven(
    pid: int,
    address: str,
    environment: dict[str, str],
    registry: ModelRegistry,
    versions: list[str],
) -> dict[str, Any]:
    async with Driver(pid, address) as driver:
        return await measured(driver, environment, registry, versions)


if __name__ == "__main__":
    main()
