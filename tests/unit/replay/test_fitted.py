"""Figures of payments that a model learned from flatter it: a replay says so."""

import pytest
from replayed import FIRST_MS, played

from scoring.core.model.bundle import MANIFEST_FILE, manifest_from_json
from scoring.errors import BadArtifact
from scoring.replay.fitted import fitted_remarks

DAY_MS = 86_400_000


@pytest.fixture
def path(tmp_path):
    payments = [("APPROVE", n % 2 == 0, [], 1_000, "EUR") for n in range(8)]
    return played(
        tmp_path / "run.parquet", [*payments, ("APPROVE", None, [], 1, "EUR")]
    )


def bundle_of(tmp_path, model_dir, from_ms, calibrated_until_ms):
    """A bundle that learned from payments of these times."""
    manifest = manifest_from_json((model_dir / MANIFEST_FILE).read_text(), name="m")
    training = manifest.training.model_copy(
        update={"from_ms": from_ms, "calibrated_until_ms": calibrated_until_ms}
    )
    changed = manifest.model_copy(update={"training": training}).stamped()
    place = tmp_path / "bundle"
    place.mkdir()
    (place / MANIFEST_FILE).write_text(changed.to_json())
    return lambda _version: place


def test_judged_payments_of_the_days_that_were_learned_from_are_counted(
    path, tmp_path, model_dir
):
    kept = bundle_of(tmp_path, model_dir, FIRST_MS - DAY_MS, FIRST_MS + 3_000)
    (remark,) = fitted_remarks(path, kept)
    assert "3 of 8 judged payments" in remark
    assert "model m1 learned from payments of 2018-03-31 to 2018-04-01" in remark
    assert "--judge-from 2018-04-02 leaves them out" in remark


def test_later_payments_are_judged_without_a_remark(path, tmp_path, model_dir):
    kept = bundle_of(tmp_path, model_dir, FIRST_MS - DAY_MS, FIRST_MS)
    assert fitted_remarks(path, kept) == []


def test_what_is_left_out_of_the_figures_is_left_out_here(path, tmp_path, model_dir):
    kept = bundle_of(tmp_path, model_dir, FIRST_MS - DAY_MS, FIRST_MS + 3_000)
    assert fitted_remarks(path, kept, from_ms=FIRST_MS + 3_000) == []


def test_a_model_that_is_not_kept_is_said_not_to_be_known(path):
    def absent(version):
        raise BadArtifact(f"holds no model {version}")

    (remark,) = fitted_remarks(path, absent)
    assert remark.startswith("model m1 is not kept here")
