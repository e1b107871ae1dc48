"""A promotion reaches a running service; a bad bundle does not."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import asynccontextmanager, suppress

import pytest
from small_model import RECIPE, small_catalogue, small_dataset

from scoring.models.onnx_model import load_model
from scoring.models.registry import ModelRegistry
from scoring.models.reloader import ModelWatch
from scoring.models.remote_registry import RemoteModelRegistry
from scoring.training.build import train_on


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory of two models, the first of them promoted."""
    registry = ModelRegistry(tmp_path_factory.mktemp("trained") / "models")
    for seed in (1, 2):
        with registry.draft() as draft:
            manifest = train_on(
                small_dataset(4_000, seed=seed),
                draft,
                catalogue=small_catalogue(),
                recipe=RECIPE,
            )
            registry.add(draft, manifest.version)
    return registry.root


@pytest.fixture
def registry(trained, tmp_path):
    return ModelRegistry(shutil.copytree(trained, tmp_path / "models"))


@asynccontextmanager
async def following(registry, **options):
    taken: asyncio.Queue = asyncio.Queue()
    refused: asyncio.Queue = asyncio.Queue()
    watch = ModelWatch(
        registry.root,
        load_model,
        taken.put_nowait,
        refused.put_nowait,
        poll_s=0.01,
        **options,
    )
    task = asyncio.create_task(watch.follow(registry.promoted()))
    try:
        yield taken, refused
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_promotion_and_a_rollback_are_taken(registry):
    first, second = (manifest.version for manifest in registry.versions())
    async with following(registry) as (taken, _):
        registry.promote(second)
        assert (await asyncio.wait_for(taken.get(), 20)).version == second
        registry.rollback()
        assert (await asyncio.wait_for(taken.get(), 20)).version == first
        assert taken.empty()


async def test_a_damaged_bundle_is_refused_once_and_the_next_good_one_is_taken(
    registry,
):
    first, second = (manifest.version for manifest in registry.versions())
    graph = registry.path(second) / "model.onnx"
    whole = graph.read_bytes()
    graph.write_bytes(whole[:-10])
    async with following(registry) as (taken, refused):
        registry.promote(second)
        assert "model.onnx" in await asyncio.wait_for(refused.get(), 20)
        await asyncio.sleep(0.2)
        assert refused.empty()
        assert taken.empty()
        graph.write_bytes(whole)
        assert (await asyncio.wait_for(taken.get(), 20)).version == second
        registry.promote(first)
        assert (await asyncio.wait_for(taken.get(), 20)).version == first


async def test_a_registry_that_vanishes_leaves_the_model_in_place(registry):
    pointer = registry.root / "promoted.json"
    content = pointer.read_text()
    async with following(registry) as (taken, refused):
        pointer.unlink()
        assert "holds no model" in await asyncio.wait_for(refused.get(), 20)
        pointer.write_text(content)
        await asyncio.sleep(0.2)
        assert taken.empty()


async def test_a_promotion_in_object_storage_is_taken_once_it_answers_again(
    registry, tmp_path
):
    first, second = (manifest.version for manifest in registry.versions())
    mirror = RemoteModelRegistry.at(f"file://{registry.root}", tmp_path / "mirror")
    mirror.pull()
    away = registry.root.with_name("away")
    async with following(mirror.cache, refresh=mirror.pull) as (taken, refused):
        registry.promote(second)
        registry.root.rename(away)
        registry.root.write_text("no directory any more")
        assert "models" in await asyncio.wait_for(refused.get(), 20)
        registry.root.unlink()
        away.rename(registry.root)
        assert (await asyncio.wait_for(taken.get(), 20)).version == second
        registry.rollback()
        assert (await asyncio.wait_for(taken.get(), 20)).version == first
