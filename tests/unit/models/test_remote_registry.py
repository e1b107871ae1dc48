"""A registry in object storage works like a directory; its copies are proved."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import fsspec
import pytest
from small_model import RECIPE, small_catalogue, small_dataset

from scoring.core.model.bundle import GRAPH_FILE, MANIFEST_FILE, SIGNATURE_FILE
from scoring.errors import BadArtifact, ModelRegistryUnavailable
from scoring.models.loader import ModelSource
from scoring.models.registry import ModelRegistry, bundle_in
from scoring.models.remote_registry import RemoteModelRegistry
from scoring.models.signature import Signer, Trust, write_key_pair
from scoring.training.build import train_on


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Two bundles by version."""
    found = {}
    for seed in (1, 2):
        out = tmp_path_factory.mktemp("bundle") / "bundle"
        dataset = small_dataset(3_000, seed=seed)
        manifest = train_on(dataset, out, catalogue=small_catalogue(), recipe=RECIPE)
        found[manifest.version] = out
    return found


@pytest.fixture
def remote(bundles, tmp_path):
    """A registry in fsspec's memory, with both bundles; the first one is promoted."""
    registry = RemoteModelRegistry.at(
        f"memory://{uuid4().hex}/models", tmp_path / "mirror"
    )
    for version, bundle in bundles.items():
        with registry.draft() as draft:
            shutil.copytree(bundle, draft)
            registry.add(draft, version)
    yield registry
    registry.files.rm(registry.root, recursive=True)


def test_a_remote_registry_lists_promotes_and_rolls_back_like_a_directory(
    remote, bundles
):
    first, second = bundles
    assert {manifest.version for manifest in remote.versions()} == {first, second}
    assert remote.promoted() == first
    remote.promote(second)
    assert remote.promoted() == second
    assert remote.rollback() == first
    assert remote.history() == (first,)
    with pytest.raises(BadArtifact, match="no earlier model"):
        remote.rollback()


def test_a_registry_that_is_not_there_is_empty(tmp_path):
    registry = RemoteModelRegistry.at(f"memory://{uuid4().hex}", tmp_path)
    assert registry.versions() == []
    assert registry.promoted() is None
    with pytest.raises(BadArtifact, match="holds no model"):
        registry.promote("0" * 16)


@pytest.mark.parametrize("version", ["../other", "0123", "promoted.json", ""])
def test_a_name_that_is_no_version_reads_nothing(remote, version):
    with pytest.raises(BadArtifact, match="is no model version"):
        remote.path(version)


def test_a_version_is_copied_here_once_and_is_the_same(remote, bundles):
    version, bundle = next(iter(bundles.items()))
    place = remote.path(version)
    for file in bundle.iterdir():
        assert (place / file.name).read_bytes() == file.read_bytes()
    remote.files.rm(f"{remote.root}/{version}/{GRAPH_FILE}")
    assert remote.path(version) == place


def test_a_file_damaged_in_the_storage_is_never_taken(remote, bundles):
    version = next(iter(bundles))
    remote.files.pipe_file(f"{remote.root}/{version}/{GRAPH_FILE}", b"other")
    with pytest.raises(BadArtifact, match=rf"{GRAPH_FILE}: is not the file"):
        remote.path(version)
    assert not remote.cache.path(version).exists()


def test_a_copy_damaged_here_is_made_again(remote, bundles):
    version, bundle = next(iter(bundles.items()))
    damaged = remote.path(version) / GRAPH_FILE
    damaged.write_bytes(b"")
    remote.path(version)
    assert damaged.read_bytes() == (bundle / GRAPH_FILE).read_bytes()


def test_a_bundle_under_the_name_of_another_is_refused(remote, bundles):
    first, second = bundles
    raw = (bundles[second] / MANIFEST_FILE).read_bytes()
    remote.files.pipe_file(f"{remote.root}/{first}/{MANIFEST_FILE}", raw)
    with pytest.raises(BadArtifact, match=f"is of model {second}"):
        remote.path(first)
    assert [manifest.version for manifest in remote.versions()] == [second]


@pytest.mark.parametrize("name", ["../promoted.json", "/etc/x.conf", ".x.y", "a/b.c"])
def test_a_manifest_cannot_name_a_file_outside_its_bundle(remote, bundles, name):
    version, bundle = next(iter(bundles.items()))
    plain = json.loads((bundle / MANIFEST_FILE).read_text())
    plain["files"][name] = "0" * 64
    path = f"{remote.root}/{version}/{MANIFEST_FILE}"
    remote.files.pipe_file(path, json.dumps(plain).encode())
    with pytest.raises(BadArtifact, match="files"):
        remote.path(version)


def test_a_pull_brings_the_champion_and_follows_promotion_and_rollback(remote, bundles):
    first, second = bundles
    mirror = remote.cache.root
    for version, move in (
        (first, lambda: None),
        (second, lambda: remote.promote(second)),
        (first, remote.rollback),
    ):
        move()
        remote.pull()
        assert bundle_in(mirror).name == version


def test_a_signature_that_comes_after_the_promotion_is_brought_too(remote, tmp_path):
    private, public = write_key_pair(tmp_path / "keys")
    remote.pull()
    source = ModelSource(remote.cache.root, remote, Trust.from_file(public))
    catalogue = small_catalogue()
    with pytest.raises(BadArtifact, match="is missing"):
        source.load(source.first(), catalogue=catalogue)
    remote.sign(remote.promoted(), Signer.from_file(private))
    remote.pull()
    model = source.load(source.first(), catalogue=catalogue)
    assert model.version == remote.promoted()
    assert (remote.cache.path(model.version) / SIGNATURE_FILE).is_file()


def test_workers_that_start_together_copy_a_model_once(remote, bundles, tmp_path):
    version, bundle = next(iter(bundles.items()))
    taken = []

    class Counting:
        """The storage, telling which files were read."""

        def cat_file(self, path):
            taken.append(path.rsplit("/", 1)[-1])
            return remote.files.cat_file(path)

    cache = ModelRegistry(tmp_path / "shared")
    workers = [
        RemoteModelRegistry(remote.url, Counting(), remote.root, cache)
        for _ in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        places = list(pool.map(lambda worker: worker.path(version), workers))
    assert set(places) == {cache.path(version)}
    assert (places[0] / GRAPH_FILE).read_bytes() == (bundle / GRAPH_FILE).read_bytes()
    assert taken.count(GRAPH_FILE) == 1


def test_a_place_for_copies_that_cannot_be_written_is_refused(remote, tmp_path):
    (tmp_path / "file").write_text("no directory")
    registry = RemoteModelRegistry(
        remote.url,
        remote.files,
        remote.root,
        ModelRegistry(tmp_path / "file" / "mirror"),
    )
    with pytest.raises(BadArtifact, match="must be writable"):
        registry.pull()


class Broken:
    """Storage that does not answer."""

    def cat_file(self, _path):
        raise ConnectionError("no route")


def test_a_service_starts_with_the_last_known_model_while_the_storage_is_away(remote):
    remote.pull()
    away = RemoteModelRegistry(remote.url, Broken(), remote.root, remote.cache)
    with pytest.raises(ModelRegistryUnavailable, match="no route"):
        away.pull()
    source = ModelSource(remote.cache.root, away)
    assert source.first().name == remote.promoted()


def test_a_first_start_without_the_storage_says_that_there_is_no_model(tmp_path):
    away = RemoteModelRegistry(
        "s3://x", Broken(), "x", ModelRegistry(tmp_path / "mirror")
    )
    with pytest.raises(BadArtifact, match="holds no model"):
        ModelSource(tmp_path / "mirror", away).first()


def test_an_old_version_is_fetched_to_be_explained(remote, bundles):
    second = list(bundles)[1]
    remote.pull()
    source = ModelSource(remote.cache.root, remote)
    assert source.bundle(second).name == second
    with pytest.raises(BadArtifact, match="holds no model"):
        source.bundle("0" * 16)


def test_storage_without_its_driver_is_refused_with_what_to_install(
    tmp_path, monkeypatch
):
    def absent(_url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(BadArtifact, match=r"Install s3fs.*fraud-scoring\[remote\]"):
        RemoteModelRegistry.at("s3://bucket/models", tmp_path)


def test_a_url_of_no_known_storage_is_refused(tmp_path):
    with pytest.raises(BadArtifact, match="names no storage"):
        RemoteModelRegistry.at("nowhere://models", tmp_path)
