"""Only a bundle that a trusted key signed may decide, where keys are configured."""

from __future__ import annotations

import shutil
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from small_model import RECIPE, small_catalogue, small_dataset

from scoring.core.model import bundle
from scoring.errors import BadArtifact
from scoring.models.loader import ModelSource
from scoring.models.onnx_model import load_model
from scoring.models.signature import Signer, Trust, write_key_pair
from scoring.training.build import train_on


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "small"
    train_on(small_dataset(3_000), out, catalogue=small_catalogue(), recipe=RECIPE)
    return out


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


@pytest.fixture
def pair(tmp_path):
    private, public = write_key_pair(tmp_path / "ours")
    return Signer.from_file(private), Trust.from_file(public)


@pytest.fixture
def stranger(tmp_path):
    private, public = write_key_pair(tmp_path / "theirs")
    return Signer.from_file(private), Trust.from_file(public)


def test_a_signed_bundle_loads_and_keeps_its_version(copy, pair):
    signer, trust = pair
    signer.sign(copy)
    assert load_model(copy, trust=trust).version == load_model(copy).version


def test_an_unsigned_bundle_is_refused_where_a_key_is_configured(copy, pair):
    with pytest.raises(BadArtifact, match=r"manifest\.sig: is missing.*models sign"):
        load_model(copy, trust=pair[1])


def test_an_unsigned_bundle_loads_where_no_key_is_configured(copy):
    assert load_model(copy)


def test_a_signature_by_another_key_is_refused(copy, pair, stranger):
    stranger[0].sign(copy)
    with pytest.raises(BadArtifact, match="key that is trusted"):
        load_model(copy, trust=pair[1])


def test_while_keys_are_exchanged_either_may_have_signed(
    copy, pair, stranger, tmp_path
):
    both = tmp_path / "both.pem"
    names = ("ours", "theirs")
    both.write_bytes(
        b"".join((tmp_path / n / "model-trust.pem").read_bytes() for n in names)
    )
    trust = Trust.from_file(both)
    for signer, _ in (pair, stranger):
        signer.sign(copy)
        assert load_model(copy, trust=trust)


def test_a_bundle_changed_after_it_was_signed_is_refused(copy, pair):
    signer, trust = pair
    signer.sign(copy)
    path = copy / bundle.MANIFEST_FILE
    manifest = bundle.manifest_from_json(path.read_text(), name="manifest")
    slope = manifest.calibration.model_copy(update={"slope": 0.1})
    forged = manifest.model_copy(update={"calibration": slope}).stamped()
    path.write_text(forged.to_json())
    load_model(copy)  # its hashes agree: only the signature can tell
    with pytest.raises(BadArtifact, match="was changed, or signed by someone else"):
        load_model(copy, trust=trust)


@pytest.mark.parametrize("file", [*bundle.FILES, bundle.TENSOR_FILE])
def test_a_file_exchanged_beside_a_good_signature_is_refused(copy, pair, file):
    signer, trust = pair
    signer.sign(copy)
    (copy / file).write_bytes((copy / file).read_bytes() + b"\0")
    with pytest.raises(BadArtifact, match=f"{file}: is not the file"):
        load_model(copy, trust=trust)


@pytest.mark.parametrize("raw", [b"", b"not base64!", b"AAAA", b"\xff\xfe"])
def test_a_damaged_signature_is_refused(copy, pair, raw):
    (copy / bundle.SIGNATURE_FILE).write_bytes(raw)
    with pytest.raises(BadArtifact, match=r"manifest\.sig"):
        load_model(copy, trust=pair[1])


def test_a_manifest_edited_after_its_export_is_not_signed(copy, pair):
    path = copy / bundle.MANIFEST_FILE
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(BadArtifact, match="version: is not the hash"):
        pair[0].sign(copy)


def test_an_unsigned_bundle_is_not_explained_either(copy, pair, tmp_path):
    version = load_model(copy).version
    models = tmp_path / "models"
    models.mkdir()
    copy.rename(models / version)
    assert ModelSource(models).bundle(version)
    with pytest.raises(BadArtifact, match="only signed models"):
        ModelSource(models, trust=pair[1]).bundle(version)


def test_a_private_key_is_its_owners_and_is_never_overwritten(tmp_path):
    private, _ = write_key_pair(tmp_path)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    with pytest.raises(BadArtifact, match="never overwritten"):
        write_key_pair(tmp_path)
    assert private.read_bytes() == before


def test_a_file_that_is_no_such_key_is_refused_by_name(tmp_path):
    private, public = write_key_pair(tmp_path)
    other = tmp_path / "other.pem"
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    with pytest.raises(BadArtifact, match=r"other\.pem: a key is not Ed25519"):
        Trust.from_file(other)
    with pytest.raises(BadArtifact, match="holds no public key"):
        Trust.from_file(private)
    with pytest.raises(BadArtifact, match="no unencrypted private key"):
        Signer.from_file(public)
    with pytest.raises(BadArtifact, match="cannot be read"):
        Trust.from_file(tmp_path / "absent.pem")
