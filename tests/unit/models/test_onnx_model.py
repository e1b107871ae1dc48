"""A bundle is loaded whole and proved, or refused with what is wrong."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from small_model import (
    RECIPE,
    changed_graph,
    rewrite,
    small_catalogue,
    small_dataset,
)

from scoring import wire
from scoring.core.decision.decision import ComputeTarget
from scoring.core.features.catalogue import default_catalogue
from scoring.core.model import bundle
from scoring.core.model.bundle import manifest_from_json
from scoring.core.policy.shipped_policy import default_policy
from scoring.errors import BadArtifact, ModelUnavailable
from scoring.models.graph_check import check_graph
from scoring.models.loader import ModelSource
from scoring.models.onnx_model import load_model
from scoring.training.build import train_on


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "small"
    train_on(small_dataset(), out, catalogue=small_catalogue(), recipe=RECIPE)
    return out


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def test_a_bundle_loads_and_names_what_it_is(trained):
    catalogue = small_catalogue()
    model = load_model(trained, catalogue=catalogue)
    assert model.feature_names == catalogue.names
    assert model.features_version == catalogue.version
    assert model.reason_groups == ("AMOUNT", "TIME", "PLACE", "RETRIES")
    assert len(model.version) == 16


def test_the_same_rows_and_seed_give_the_same_version(trained, tmp_path):
    again = train_on(
        small_dataset(), tmp_path / "again", catalogue=small_catalogue(), recipe=RECIPE
    )
    assert again.version == load_model(trained).version


def test_scores_are_probabilities_and_do_not_depend_on_neighbours(trained):
    model = load_model(trained)
    rows = small_dataset(seed=9, rows=300).matrix
    together = model.predict(rows)
    alone = [model.predict(rows[i : i + 1]) for i in range(len(rows))]
    assert ((together.probability > 0) & (together.probability < 1)).all()
    for name in ("margin", "probability", "contributions"):
        single = np.concatenate([getattr(s, name) for s in alone])
        assert np.array_equal(single, getattr(together, name)), name


def test_a_matrix_of_another_width_is_unavailable_and_not_a_crash(trained):
    with pytest.raises(ModelUnavailable):
        load_model(trained).predict(np.zeros((1, 3), np.float32))


@pytest.mark.parametrize("file", [*bundle.FILES, bundle.TENSOR_FILE])
def test_a_missing_file_is_named(copy, file):
    (copy / file).unlink()
    with pytest.raises(BadArtifact, match=file):
        load_model(copy)


def test_a_directory_without_a_manifest_is_no_model(copy):
    (copy / bundle.MANIFEST_FILE).unlink()
    with pytest.raises(BadArtifact, match="holds no model"):
        load_model(copy)


@pytest.mark.parametrize("file", [*bundle.FILES, bundle.TENSOR_FILE])
def test_a_truncated_file_is_named(copy, file):
    raw = (copy / file).read_bytes()
    (copy / file).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(BadArtifact, match=file):
        load_model(copy)


def test_an_edited_manifest_is_refused(copy):
    path = copy / bundle.MANIFEST_FILE
    plain = json.loads(path.read_text())
    plain["calibration"]["slope"] = 9.0
    path.write_text(json.dumps(plain))
    with pytest.raises(BadArtifact, match="version: is not the hash"):
        load_model(copy)


def test_a_truncated_graph_whose_hash_was_forged_is_refused(copy):
    raw = (copy / bundle.GRAPH_FILE).read_bytes()
    rewrite(copy, **{bundle.GRAPH_FILE: raw[: len(raw) // 2]})
    with pytest.raises(BadArtifact, match="not an ONNX model"):
        load_model(copy)


def test_another_feature_order_is_refused_with_the_first_difference(trained):
    shuffled = small_catalogue("amount", "weekday", "hour", "latitude")
    with pytest.raises(BadArtifact, match=r"feature_names\[1\].*'hour'.*'weekday'"):
        load_model(trained, catalogue=shuffled)


def test_an_operator_that_we_never_write_is_refused(copy):
    def use_another(graph):
        next(n for n in graph.node if n.op_type == "Sigmoid").op_type = "Tanh"

    graph = changed_graph((copy / bundle.GRAPH_FILE).read_bytes(), use_another)
    rewrite(copy, **{bundle.GRAPH_FILE: graph})
    with pytest.raises(BadArtifact, match="operator Tanh"):
        load_model(copy)


@pytest.mark.parametrize("mode", [b"BRANCH_EQ", b"BRANCH_LEQ", b"BRANCH_GT"])
def test_a_graph_with_categorical_or_other_splits_is_refused(copy, mode):
    def split_otherwise(graph):
        tree = next(n for n in graph.node if n.op_type == "TreeEnsembleRegressor")
        modes = next(a for a in tree.attribute if a.name == "nodes_modes")
        modes.strings[list(modes.strings).index(b"BRANCH_LT")] = mode

    graph = changed_graph((copy / bundle.GRAPH_FILE).read_bytes(), split_otherwise)
    rewrite(copy, **{bundle.GRAPH_FILE: graph})
    with pytest.raises(BadArtifact, match=f"{mode.decode()} splits"):
        load_model(copy)


def test_a_graph_of_several_classes_is_refused(copy):
    def three_margins(graph):
        import onnx

        for node in graph.node:
            for names in (node.input, node.output):
                names[:] = ["one" if name == "margin" else name for name in names]
        graph.node.append(
            onnx.helper.make_node("Concat", ["one"] * 3, ["margin"], axis=1)
        )
        margin = next(o for o in graph.output if o.name == "margin")
        margin.type.tensor_type.shape.dim[1].dim_value = 3

    graph = changed_graph((copy / bundle.GRAPH_FILE).read_bytes(), three_margins)
    rewrite(copy, **{bundle.GRAPH_FILE: graph})
    with pytest.raises(BadArtifact, match=r"gives .*'margin': 3.*says .*'margin': 1"):
        load_model(copy)


def outside(tensor):
    import onnx

    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def in_an_initializer(model):
    outside(model.graph.initializer[0])


def in_a_sparse_initializer(model):
    outside(model.graph.sparse_initializer.add().values)


def in_an_attribute(model):
    outside(model.graph.node[0].attribute.add(name="value").t)


def in_a_list_of_an_attribute(model):
    outside(model.graph.node[0].attribute.add(name="values").tensors.add())


def in_a_sparse_attribute(model):
    outside(model.graph.node[0].attribute.add(name="value").sparse_tensor.indices)


def in_a_graph_within_the_graph(model):
    outside(model.graph.node[0].attribute.add(name="then").g.initializer.add())


def in_a_function(model):
    outside(model.functions.add(name="f").node.add().attribute.add(name="v").t)


def in_a_graph_for_training(model):
    outside(model.training_info.add().initialization.initializer.add())


@pytest.mark.parametrize(
    "place",
    [
        in_an_initializer, in_a_sparse_initializer, in_an_attribute,
        in_a_list_of_an_attribute, in_a_sparse_attribute,
        in_a_graph_within_the_graph, in_a_function, in_a_graph_for_training,
    ],
)  # fmt: skip
def test_data_outside_the_file_is_refused_wherever_a_tensor_can_stand(copy, place):
    import onnx

    model = onnx.load_from_string((copy / bundle.GRAPH_FILE).read_bytes())
    place(model)
    rewrite(copy, **{bundle.GRAPH_FILE: model.SerializeToString()})
    with pytest.raises(BadArtifact, match="our exporter never writes"):
        load_model(copy)


# Where each message of onnx.proto stands in a model, as field numbers.
PLACES = {
    "ModelProto": (),
    "GraphProto": (7,),
    "NodeProto": (7, 1),
    "AttributeProto": (7, 1, 5),
    "TensorProto": (7, 5),
    "ValueInfoProto": (7, 11),
    "TypeProto": (7, 11, 2),
}


def written(message, found):
    """(message, field) of all that a model holds."""
    for field, value in message.ListFields():
        found.add((message.DESCRIPTOR.name, field.number))
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                written(part, found)
    return found


def with_a_field(raw, place, number):
    """The model with one more field, empty, in a message of that place."""
    part = wire.varint_to_bytes(number << 3 | 2) + b"\0"
    for outer in reversed(place):
        part = wire.field_to_bytes(outer, part)
    return raw + part


def test_every_field_of_onnx_that_our_exporter_does_not_write_is_refused(trained):
    import onnx

    files = [
        (trained / f).read_bytes() for f in (bundle.GRAPH_FILE, bundle.TENSOR_FILE)
    ]
    ours = set.union(*(written(onnx.load_from_string(raw), set()) for raw in files))
    tried = 0
    for name, place in PLACES.items():
        for field in getattr(onnx, name).DESCRIPTOR.fields:
            if (name, field.number) in ours:
                continue
            changed = with_a_field(files[0], place, field.number)
            with pytest.raises(BadArtifact, match=r"holds (field \d+ of )?a "):
                check_graph(changed, name=f"{name}.{field.name}")
            tried += 1
    assert tried > 30


def test_a_graph_that_scores_otherwise_than_at_its_export_is_refused(copy):
    def nudge(graph):
        tree = next(n for n in graph.node if n.op_type == "TreeEnsembleRegressor")
        weights = next(a for a in tree.attribute if a.name == "target_weights")
        weights.floats[0] += 0.001

    graph = changed_graph((copy / bundle.GRAPH_FILE).read_bytes(), nudge)
    rewrite(copy, **{bundle.GRAPH_FILE: graph})
    with pytest.raises(BadArtifact, match="golden vectors"):
        load_model(copy)


def test_a_graph_that_gives_nan_is_refused(copy):
    def spoil(graph):
        tree = next(n for n in graph.node if n.op_type == "TreeEnsembleRegressor")
        weights = next(a for a in tree.attribute if a.name == "target_weights")
        weights.floats[0] = float("nan")

    graph = changed_graph((copy / bundle.GRAPH_FILE).read_bytes(), spoil)
    rewrite(copy, **{bundle.GRAPH_FILE: graph})
    with pytest.raises(BadArtifact, match=r"not a number|golden"):
        load_model(copy)


def test_the_tensor_target_gives_the_same_scores_and_says_which_it_is(trained):
    rows = small_dataset(seed=9, rows=300).matrix
    ensemble = load_model(trained).predict(rows)
    tensor = load_model(trained, target=ComputeTarget.TENSOR).predict(rows)
    assert np.abs(ensemble.probability - tensor.probability).max() <= 5e-6
    assert ensemble.target is ComputeTarget.ENSEMBLE
    assert tensor.target is ComputeTarget.TENSOR


def test_the_size_of_the_batch_picks_the_target_and_hardly_any_outcome_flips(trained):
    catalogue = small_catalogue()
    model = ModelSource(trained, tensor_rows_min=64).load(trained, catalogue=catalogue)
    rows = small_dataset(20_000, seed=9).matrix
    few, many = model.predict(rows[:63]), model.predict(rows[:64])
    assert few.target is ComputeTarget.ENSEMBLE
    assert many.target is ComputeTarget.TENSOR
    tensor = model.predict(rows).probability
    ensemble = load_model(trained).predict(rows).probability
    assert np.abs(tensor - ensemble).max() <= 5e-6
    shipped = default_policy(default_catalogue()).file.thresholds.default
    levels = (shipped.challenge, shipped.review, shipped.decline)
    flips = {t: int(((tensor >= t) != (ensemble >= t)).sum()) for t in levels}
    print(f"outcome flips of {len(rows)}: {flips}")
    assert sum(flips.values()) <= 1


def test_a_bundle_without_a_tensor_form_is_refused_where_it_is_asked_for(copy):
    manifest = manifest_from_json((copy / bundle.MANIFEST_FILE).read_text(), name="m")
    files = {f: h for f, h in manifest.files.items() if f != bundle.TENSOR_FILE}
    (copy / bundle.MANIFEST_FILE).write_text(
        manifest.model_copy(update={"files": files}).stamped().to_json()
    )
    source = ModelSource(copy, tensor_rows_min=64)
    with pytest.raises(BadArtifact, match=r"has no tensor\.onnx"):
        source.load(copy, catalogue=small_catalogue())


def test_a_gpu_that_is_not_there_is_refused_and_not_replaced(trained, monkeypatch):
    import onnxruntime as ort

    monkeypatch.setattr(
        ort, "get_available_providers", lambda: ["CPUExecutionProvider"]
    )
    with pytest.raises(BadArtifact, match="cuda was asked for"):
        load_model(trained, target=ComputeTarget.TENSOR, device="cuda")


def test_a_gpu_whose_driver_is_missing_is_refused_and_not_replaced(
    trained, monkeypatch
):
    # ONNX Runtime warns and falls back to the CPU; we must not.
    import onnxruntime as ort

    monkeypatch.setattr(
        ort, "get_available_providers", lambda: ["CUDAExecutionProvider"]
    )
    with pytest.raises(BadArtifact, match=r"refuses it|CPU was given"):
        load_model(trained, target=ComputeTarget.TENSOR, device="cuda")


def test_the_ensemble_is_never_sent_to_a_gpu(trained):
    with pytest.raises(BadArtifact, match="choose the tensor target"):
        load_model(trained, device="cuda")
