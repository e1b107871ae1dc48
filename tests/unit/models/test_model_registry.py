"""A registry holds models; one of them decides, and the one before can return."""

from __future__ import annotations

import pytest
from small_model import RECIPE, small_catalogue, small_dataset

from scoring.errors import BadArtifact
from scoring.models.onnx_model import load_model
from scoring.models.registry import ModelRegistry, bundle_in
from scoring.training.build import train_on


def put(registry, seed):
    with registry.draft() as draft:
        manifest = train_on(
            small_dataset(4_000, seed=seed),
            draft,
            catalogue=small_catalogue(),
            recipe=RECIPE,
        )
        registry.add(draft, manifest.version)
    return manifest.version


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    registry = ModelRegistry(tmp_path_factory.mktemp("registry") / "models")
    put(registry, seed=1)
    put(registry, seed=2)
    return registry


@pytest.fixture
def versions(registry):
    return [manifest.version for manifest in registry.versions()]


def test_the_first_model_is_promoted_and_a_second_is_not(registry, versions):
    assert len(versions) == 2
    assert registry.promoted() == versions[0]
    assert load_model(registry.root).version == versions[0]


def test_promotion_and_rollback_change_what_is_loaded(registry, versions):
    registry.promote(versions[1])
    assert load_model(registry.root).version == versions[1]
    assert registry.rollback() == versions[0]
    assert load_model(registry.root).version == versions[0]


def test_promoting_twice_is_promoting_once(registry, versions):
    registry.promote(versions[0])
    assert registry.history() == (versions[0],)


def test_an_unknown_version_cannot_be_promoted(registry):
    with pytest.raises(BadArtifact, match="holds no model"):
        registry.promote("0" * 16)


@pytest.mark.parametrize("version", ["../outside", "", "promoted.json", "A" * 16])
def test_a_name_that_is_no_version_points_nowhere(registry, version):
    with pytest.raises(BadArtifact, match="is no model version"):
        registry.promote(version)


def test_there_is_nothing_to_roll_back_to_before_the_second_promotion(tmp_path):
    with pytest.raises(BadArtifact, match="no earlier model"):
        ModelRegistry(tmp_path).rollback()


def test_an_empty_directory_says_how_to_make_a_model(tmp_path):
    with pytest.raises(BadArtifact, match="scoring train --out"):
        bundle_in(tmp_path)


def test_a_damaged_pointer_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "promoted.json").write_text("{")
    with pytest.raises(BadArtifact, match="promote a version again"):
        bundle_in(tmp_path)


def test_an_abandoned_draft_leaves_nothing_behind(tmp_path):
    registry = ModelRegistry(tmp_path / "models")
    with registry.draft() as draft:
        draft.mkdir()
    assert list(registry.root.iterdir()) == []


def test_a_bundle_cannot_be_used_as_a_registry(registry, versions, tmp_path):
    import shutil

    root = shutil.copytree(registry.path(versions[0]), tmp_path / "bundle")
    shutil.copytree(registry.path(versions[1]), root / versions[1])
    with pytest.raises(BadArtifact, match="is itself a bundle"):
        ModelRegistry(root).promote(versions[1])
