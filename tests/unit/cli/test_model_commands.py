"""`scoring models` works on a directory and on object storage alike."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_model import registry_of
from typer.main import get_command
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.core.features.catalogue import default_catalogue, load_catalogue
from scoring.errors import BadArtifact
from scoring.models.onnx_model import load_model
from scoring.models.registry import ModelRegistry
from scoring.models.signature import Trust
from scoring.settings import Settings
from scoring.training.simulation.simulate import World, simulate


@pytest.fixture(scope="module")
def models(model_dir, other_model_dir, tmp_path_factory):
    """(directory of two models, the one that decides, the other one)."""
    root = tmp_path_factory.mktemp("m") / "m"
    _, versions = registry_of(root, model_dir, other_model_dir)
    return root, *versions


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        done = CliRunner().invoke(assemble(), ["models", *map(str, words)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_without_models_the_list_says_how_to_make_one(run):
    for place in ("models", "memory://nothing-here"):
        told = run("list", "--dir", place)
        assert f"scoring train --out {place}" in told


def test_a_model_goes_to_object_storage_and_is_promoted_and_rolled_back_there(
    run, models, tmp_path
):
    directory, first, second = models
    url = f"file://{tmp_path}/storage"
    assert "promoted there" in run("push", first, url, "--dir", directory)
    assert "promoted" not in run("push", second, url, "--dir", directory)
    listed = run("list", "--dir", url)
    assert first in listed
    assert second in listed
    assert second in run("show", second, "--dir", url)
    run("promote", second, "--dir", url)
    assert ModelRegistry(tmp_path / "storage").promoted() == second
    assert first in run("rollback", "--dir", url)
    assert ModelRegistry(tmp_path / "storage").promoted() == first


def test_what_is_signed_with_one_key_is_trusted_by_the_other(run, models, tmp_path):
    directory, first, _ = models
    url = f"file://{tmp_path}/storage"
    run("push", first, url, "--dir", directory)
    run("key", "keys")
    trust = tmp_path / "keys" / "model-trust.pem"
    with pytest.raises(BadArtifact, match="only signed models"):
        run("promote", first, "--dir", url, "--trust", trust)
    run("sign", first, "--dir", url, "--key", "keys/model-signing.pem")
    run("promote", first, "--dir", url, "--trust", trust)
    stored = ModelRegistry(tmp_path / "storage").path(first)
    assert load_model(stored, trust=Trust.from_file(trust))


def test_what_is_trained_where_a_signing_key_is_set_is_signed(
    run, tmp_path, monkeypatch
):
    run("key", "keys")
    world = World(seed=5, days=12, customers=120, terminals=200, radius=15.0)
    pq.write_table(simulate(world), tmp_path / "town.parquet")
    key = tmp_path / "keys" / "model-signing.pem"
    monkeypatch.setenv("SCORING_MODEL_SIGNING_FILE", str(key))
    url = f"file://{tmp_path}/storage"
    options = ["--rounds", "3", "--depth", "2", "--label-delay-days", "1", "--out"]
    done = CliRunner().invoke(assemble(), ["train", "town.parquet", *options, url])
    assert done.exit_code == 0, done.output
    assert f"SCORING_MODEL_URL={url}" in done.output
    stored = ModelRegistry(tmp_path / "storage")
    trust = Trust.from_file(tmp_path / "keys" / "model-trust.pem")
    assert load_model(stored.root, trust=trust).version == stored.promoted()


def test_without_a_place_the_registry_is_the_one_that_the_services_read(
    run, models, tmp_path, monkeypatch
):
    directory, first, second = models
    registry = shutil.copytree(directory, tmp_path / "served")
    monkeypatch.setenv("SCORING_MODEL_DIR", str(registry))
    assert first in run("list")
    assert second in run("show", second)
    run("promote", second)
    assert ModelRegistry(registry).promoted() == second
    run("rollback")
    assert ModelRegistry(registry).promoted() == first
    run("key", "keys")
    run("sign", first, "--key", "keys/model-signing.pem")
    assert load_model(
        registry / first, trust=Trust.from_file(Path("keys/model-trust.pem"))
    )
    assert "promoted there" in run("push", first, "elsewhere")
    assert first in run("compare", first, second)
    assert ModelRegistry(tmp_path / "elsewhere").promoted() == first


def test_without_a_place_object_storage_that_the_services_read_comes_first(
    run, models, tmp_path, monkeypatch
):
    directory, first, second = models
    url = f"file://{tmp_path}/storage"
    run("push", first, url, "--dir", directory)
    run("push", second, url, "--dir", directory)
    monkeypatch.setenv("SCORING_MODEL_URL", url)
    monkeypatch.setenv("SCORING_MODEL_DIR", str(tmp_path / "mirror"))
    assert second in run("list")
    run("promote", second)
    assert ModelRegistry(tmp_path / "storage").promoted() == second
    assert load_model(tmp_path / "mirror" / second)


def test_training_takes_the_definitions_and_the_registry_of_the_services(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    world = World(seed=5, days=12, customers=120, terminals=200, radius=15.0)
    pq.write_table(simulate(world), "town.parquet")
    shipped = resources.files("scoring.defaults").joinpath("features.yaml").read_text()
    ours = shipped.replace("is_night", "is_late")
    Path("ours.yaml").write_text(ours)
    catalogue = load_catalogue(ours, name="ours.yaml")
    assert catalogue.version != default_catalogue().version
    monkeypatch.setenv("SCORING_FEATURES_FILE", "ours.yaml")
    monkeypatch.setenv("SCORING_MODEL_DIR", "served")
    options = ["--rounds", "3", "--depth", "2", "--label-delay-days", "1"]
    done = CliRunner().invoke(assemble(), ["train", "town.parquet", *options])
    assert done.exit_code == 0, done.output
    stored = ModelRegistry(Path("served"))
    assert load_model(stored.path(stored.promoted()), catalogue=catalogue)
    shown = CliRunner().invoke(assemble(), ["features", "describe"])
    assert "is_late" in shown.output


def options_of(command, words=()):
    """(command line, option) of every command."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from options_of(inner, (*words, name))
    yield from ((" ".join(words), option) for option in command.params)


def test_no_option_has_a_default_of_its_own_for_what_a_setting_names():
    fields = Settings.model_fields.items()
    # A namespace is no place: "live" is what a policy in force is called, too.
    places = {str(field.default) for name, field in fields if name != "namespace"} - {
        ""
    }
    own = [
        (words, option.name)
        for words, option in options_of(get_command(assemble()))
        if isinstance(option.default, str | Path) and str(option.default) in places
    ]
    assert own == []


def test_where_models_cannot_be_written_it_is_said_before_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    registry = ModelRegistry(tmp_path / "file" / "models")
    with pytest.raises(BadArtifact, match="cannot be written there"), registry.draft():
        pass


def test_a_version_that_is_not_there_is_refused_by_name(run, models):
    with pytest.raises(BadArtifact, match="holds no model"):
        run("push", "0" * 16, "elsewhere", "--dir", models[0])
