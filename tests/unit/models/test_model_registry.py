"""Models stand on a shelf; one of them decides, and the one before can return."""

from __future__ import annotations

import pytest
from small_model import RECIPE, small_catalogue, small_dataset

from scoring.errors import BadArtifact
from scoring.models.onnx_model import load_model
from scoring.models.registry import ModelShelf, bundle_in
from scoring.training.build import train_on


def put(shelf, seed):
    with shelf.draft() as draft:
        manifest = train_on(
            small_dataset(4_000, seed=seed),
            draft,
            catalogue=small_catalogue(),
            recipe=RECIPE,
        )
        shelf.add(draft, manifest.version)
    return manifest.version


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    shelf = ModelShelf(tmp_path_factory.mktemp("shelf") / "models")
    put(shelf, seed=1)
    put(shelf, seed=2)
    return shelf


@pytest.fixture
def versions(shelf):
    return [manifest.version for manifest in shelf.versions()]


def test_the_first_model_is_promoted_and_a_second_is_not(shelf, versions):
    assert len(versions) == 2
    assert shelf.promoted() == versions[0]
    assert load_model(shelf.root).version == versions[0]


def test_promotion_and_rollback_change_what_is_loaded(shelf, versions):
    shelf.promote(versions[1])
    assert load_model(shelf.root).version == versions[1]
    assert shelf.rollback() == versions[0]
    assert load_model(shelf.root).version == versions[0]


def test_promoting_twice_is_promoting_once(shelf, versions):
    shelf.promote(versions[0])
    assert shelf.history() == (versions[0],)


def test_an_unknown_version_cannot_be_promoted(shelf):
    with pytest.raises(BadArtifact, match="holds no model"):
        shelf.promote("0" * 16)


@pytest.mark.parametrize("version", ["../outside", "", "promoted.json", "A" * 16])
def test_a_name_that_is_no_version_points_nowhere(shelf, version):
    with pytest.raises(BadArtifact, match="is no model version"):
        shelf.promote(version)


def test_there_is_nothing_to_roll_back_to_before_the_second_promotion(tmp_path):
    with pytest.raises(BadArtifact, match="no earlier model"):
        ModelShelf(tmp_path).rollback()


def test_an_empty_directory_says_how_to_make_a_model(tmp_path):
    with pytest.raises(BadArtifact, match="scoring train --out"):
        bundle_in(tmp_path)


def test_a_damaged_pointer_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "promoted.json").write_text("{")
    with pytest.raises(BadArtifact, match="promote a version again"):
        bundle_in(tmp_path)


def test_an_abandoned_draft_leaves_nothing_behind(tmp_path):
    shelf = ModelShelf(tmp_path / "models")
    with shelf.draft() as draft:
        draft.mkdir()
    assert list(shelf.root.iterdir()) == []


def test_a_bundle_cannot_be_used_as_a_shelf(shelf, versions, tmp_path):
    import shutil

    root = shutil.copytree(shelf.path(versions[0]), tmp_path / "bundle")
    shutil.copytree(shelf.path(versions[1]), root / versions[1])
    with pytest.raises(BadArtifact, match="is itself a bundle"):
        ModelShelf(root).promote(versions[1])
