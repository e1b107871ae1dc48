"""`scoring train --second-look`: two models in one bundle, or one and the reason."""

import json

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from scoring.__main__ import assemble
from scoring.core.model import bundle
from scoring.models.onnx_model import load_model
from scoring.models.registry import bundle_in
from scoring.training import second_look
from scoring.training.fit import Boosting
from scoring.training.simulation.simulate import World, simulate

WORLD = World(seed=2, days=14, customers=200, terminals=400)
QUICK = ("--label-delay-days", "2", "--rounds", "1", "--depth", "1", "--rate", "0.1")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("town") / "town.parquet"
    pq.write_table(simulate(WORLD), path)
    return path


def train(table, out, monkeypatch, larger):
    monkeypatch.setattr(second_look, "LARGER", larger)
    arguments = ["train", str(table), "--out", str(out), *QUICK, "--second-look"]
    result = CliRunner().invoke(assemble(), arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_larger_model_that_helps_stands_in_the_bundle_and_its_card(
    table, tmp_path, monkeypatch
):
    larger = Boosting(rounds=80, rate=0.1, depth_max=4)
    said = train(table, tmp_path / "models", monkeypatch, larger)
    assert "second look: at scores from" in said
    found = bundle_in(tmp_path / "models")
    model = load_model(found)
    deeper = model.manifest.deeper
    assert deeper.parameters["rounds"] == 80
    assert set(bundle.SECOND_FILES) <= set(model.manifest.files)
    card = (found / "card.md").read_text()
    assert "## Second look" in card
    assert "average_precision_larger" in card
    both, whole = deeper.metrics["average_precision_both"], model.manifest.metrics
    assert both == pytest.approx(whole["average_precision"], abs=1e-5)
    enough = [row for row in deeper.selection if "begin" in row][-1]
    alone, larger_alone = deeper.selection[:2]
    gain = larger_alone["average_precision"] - alone["average_precision"]
    gained = enough["average_precision"] - alone["average_precision"]
    assert gained >= second_look.GAIN_KEPT * gain - 1e-4


def test_a_larger_model_that_does_not_help_is_left_out_and_said(
    table, tmp_path, monkeypatch
):
    worse = Boosting(rounds=1, rate=0.01, depth_max=1)
    said = train(table, tmp_path / "models", monkeypatch, worse)
    assert "no second look" in said
    path = bundle_in(tmp_path / "models") / bundle.MANIFEST_FILE
    manifest = json.loads(path.read_text())
    assert "deeper" not in manifest
    assert manifest["training"]["selection"][1]["looked_at_again"] == 1
