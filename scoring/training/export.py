"""A forest as one ONNX graph of ours: margin, score, calibrated score, reasons.

    features ── TreeEnsembleRegressor ─┬─ margin ─┬─ Sigmoid ── score
                (1 + groups targets)   │          └─ slope·m + intercept ── Sigmoid
                                       └─ contributions                 └ calibrated

The tree operator does nothing but add leaves: ONNX Runtime's classifier and its
post-transforms have silently wrong cases, so the sigmoid is a node of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.training.calibrate import Platt
from scoring.training.forest import Forest, Tree
from scoring.training.reasons import Reasons

# Old enough for every ONNX Runtime that we accept, new enough for Split.
OPSET = {"": 17, "ai.onnx.ml": 3}
_IR_VERSION = 9


def ensemble_graph(
    forest: Forest, *, reasons: Reasons | None = None, platt: Platt | None = None
) -> bytes:
    """Compile a forest to a serialised ONNX model.

    Input `features` (n, features) float32, NaN missing. Outputs `margin`, `score`,
    `calibrated`, each (n, 1), and, given `reasons`, `contributions` (n, groups).
    """
    from onnx import helper

    groups = 0 if reasons is None else reasons.leaves[0].shape[1]
    raw = "raw" if groups else "margin"
    tree_node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        [raw],
        domain="ai.onnx.ml",
        **_tree_attributes(forest, reasons, groups),
    )
    return finished(
        [tree_node],
        features=forest.feature_count,
        groups=groups,
        platt=platt or Platt(1.0, 0.0),
    )


def finished(
    nodes: list[Any],
    *,
    features: int,
    groups: int,
    platt: Platt,
    constants: Sequence[Any] = (),
) -> bytes:
    """Add splitting, sigmoid and calibration to nodes that end in `raw` or `margin`."""
    from onnx import TensorProto, helper, numpy_helper

    constants = [
        *constants,
        numpy_helper.from_array(np.array([platt.slope], np.float32), "slope"),
        numpy_helper.from_array(np.array([platt.intercept], np.float32), "intercept"),
    ]
    outputs = {"margin": 1, "score": 1, "calibrated": 1}
    nodes = list(nodes)
    if groups:
        sizes = np.array([1, groups], np.int64)
        constants.append(numpy_helper.from_array(sizes, "sizes"))
        nodes.append(
            helper.make_node(
                "Split", ["raw", "sizes"], ["margin", "contributions"], axis=1
            )
        )
        outputs["contributions"] = groups
    nodes += [
        helper.make_node("Sigmoid", ["margin"], ["score"]),
        helper.make_node("Mul", ["margin", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "intercept"], ["shifted"]),
        helper.make_node("Sigmoid", ["shifted"], ["calibrated"]),
    ]
    graph = helper.make_graph(
        nodes,
        "fraud-scoring",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", features])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
            for name, width in outputs.items()
        ],
        constants,
    )
    return _serialised(graph)


def _serialised(graph: Any) -> bytes:
    from onnx import checker, helper

    opset = [helper.make_opsetid(domain, v) for domain, v in OPSET.items()]
    model = helper.make_model(
        graph, opset_imports=opset, producer_name="scoring", ir_version=_IR_VERSION
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


@dataclass(slots=True)
class _Columns:
    """The parallel lists of a TreeEnsembleRegressor, over all trees."""

    tree: list[NDArray[np.int64]]
    node: list[NDArray[np.int64]]
    feature: list[NDArray[np.int64]]
    threshold: list[NDArray[np.float32]]
    leaf: list[NDArray[np.bool_]]
    left: list[NDArray[np.int64]]
    right: list[NDArray[np.int64]]
    missing_left: list[NDArray[np.int64]]
    target_tree: list[NDArray[np.int64]]
    target_node: list[NDArray[np.int64]]
    target: list[NDArray[np.int64]]
    weight: list[NDArray[np.float32]]


def _tree_attributes(
    forest: Forest, reasons: Reasons | None, groups: int
) -> dict[str, Any]:
    columns = _Columns(*([] for _ in range(12)))
    for index, tree in enumerate(forest.trees):
        _add_nodes(columns, index, tree)
        weights = tree.value[tree.leaves][:, None]
        if reasons is not None:
            weights = np.hstack([weights, reasons.leaves[index]])
        _add_targets(columns, index, tree.leaves, weights)
    joined = {name: np.concatenate(getattr(columns, name)) for name in _names()}
    modes = np.where(joined["leaf"], "LEAF", "BRANCH_LT")
    return {
        "n_targets": 1 + groups,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "base_values": [forest.base_margin] + [0.0] * groups,
        "nodes_treeids": joined["tree"].tolist(),
        "nodes_nodeids": joined["node"].tolist(),
        "nodes_featureids": joined["feature"].tolist(),
        "nodes_values": joined["threshold"].tolist(),
        "nodes_modes": modes.tolist(),
        "nodes_truenodeids": joined["left"].tolist(),
        "nodes_falsenodeids": joined["right"].tolist(),
        "nodes_missing_value_tracks_true": joined["missing_left"].tolist(),
        "target_treeids": joined["target_tree"].tolist(),
        "target_nodeids": joined["target_node"].tolist(),
        "target_ids": joined["target"].tolist(),
        "target_weights": joined["weight"].tolist(),
    }


def _names() -> tuple[str, ...]:
    return tuple(_Columns.__dataclass_fields__)


def _add_nodes(columns: _Columns, index: int, tree: Tree) -> None:
    count = len(tree.left)
    leaf = tree.left < 0
    columns.tree.append(np.full(count, index))
    columns.node.append(np.arange(count))
    columns.feature.append(np.where(leaf, 0, tree.feature).astype(np.int64))
    columns.threshold.append(np.where(leaf, np.float32(0), tree.threshold))
    columns.leaf.append(leaf)
    columns.left.append(np.where(leaf, 0, tree.left).astype(np.int64))
    columns.right.append(np.where(leaf, 0, tree.right).astype(np.int64))
    columns.missing_left.append((tree.default_left & ~leaf).astype(np.int64))


def _add_targets(
    columns: _Columns,
    index: int,
    leaves: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> None:
    """Add the nonzero weights (leaves, targets); target 0 always, as an anchor."""
    kept = weights.astype(np.float32) != 0
    kept[:, 0] = True
    row, target = np.nonzero(kept)
    columns.target_tree.append(np.full(len(row), index))
    columns.target_node.append(leaves[row])
    columns.target.append(target)
    columns.weight.append(weights[row, target].astype(np.float32))
