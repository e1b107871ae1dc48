"""The same trees as plain tensor operations, for devices without a tree kernel.

Every tree is padded to a perfect one and walked a level at a time for all trees at
once. A missing value costs nothing: each row is laid out twice, with missing as
minus and as plus infinity, and each node reads the copy that goes its default way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadArtifact
from scoring.training.calibrate import Platt
from scoring.training.export import finished
from scoring.training.forest import Forest, Tree
from scoring.training.reasons import Reasons

DEPTH_MAX = 10  # 2^10 leaves a tree; deeper ones waste more than they gain


@dataclass(frozen=True, slots=True)
class _Levels:
    """Perfect trees of one depth: level d holds trees x 2^d nodes, tree by tree.

    `leaves` is (trees x 2^depth, targets).
    """

    feature: list[NDArray[np.int64]]
    threshold: list[NDArray[np.float32]]
    leaves: NDArray[np.float32]


def tensor_graph(
    forest: Forest, *, reasons: Reasons | None = None, platt: Platt | None = None
) -> bytes:
    """Compile a forest to an ONNX model of tensor operations.

    Inputs and outputs are those of `ensemble_graph`; sums are taken in another
    order, so scores differ in the last bits. Raises `BadArtifact` for trees deeper
    than 10.
    """
    if forest.depth > DEPTH_MAX:
        raise BadArtifact(
            f"tensor target: trees are {forest.depth} deep, at most {DEPTH_MAX}"
        )
    groups = 0 if reasons is None else reasons.leaves[0].shape[1]
    levels = _levels(forest, reasons, groups)
    raw = "raw" if groups else "margin"
    nodes, constants = _walk(
        levels, len(forest.trees), raw=raw, base=forest.base_margin
    )
    return finished(
        nodes,
        features=forest.feature_count,
        groups=groups,
        platt=platt or Platt(1.0, 0.0),
        constants=constants,
    )


def _levels(forest: Forest, reasons: Reasons | None, groups: int) -> _Levels:
    depth = forest.depth
    count = len(forest.trees)
    levels = _Levels(
        feature=[np.zeros((count, 2**d), dtype=np.int64) for d in range(depth)],
        threshold=[np.zeros((count, 2**d), dtype=np.float32) for d in range(depth)],
        leaves=np.zeros((count, 2**depth, 1 + groups), dtype=np.float32),
    )
    for index, tree in enumerate(forest.trees):
        vectors = np.zeros((len(tree.left), 1 + groups))
        vectors[:, 0] = tree.value
        if reasons is not None:
            vectors[tree.leaves, 1:] = reasons.leaves[index]
        _lay_out(levels, index, tree, vectors, forest.feature_count)
    return _Levels(
        [level.ravel() for level in levels.feature],
        [level.ravel() for level in levels.threshold],
        levels.leaves.reshape(-1, 1 + groups),
    )


def _lay_out(
    levels: _Levels,
    index: int,
    tree: Tree,
    vectors: NDArray[np.float64],
    feature_count: int,
) -> None:
    """Copy a tree into its row of every level; below a leaf, all ways lead to it."""
    depth = len(levels.feature)
    at = np.zeros(1, dtype=np.int64)  # nodes of this level, left to right
    for d in range(depth):
        leaf = tree.left[at] < 0
        copy = np.where(tree.default_left[at], 0, feature_count)
        levels.feature[d][index] = np.where(leaf, 0, tree.feature[at] + copy)
        levels.threshold[d][index] = np.where(leaf, 0, tree.threshold[at])
        below = np.where(leaf, at, tree.left[at]), np.where(leaf, at, tree.right[at])
        at = np.column_stack(below).ravel()
    levels.leaves[index] = vectors[at]


class _Writer:
    """Collects the nodes and constants of a graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, values: Any, kind: Any) -> str:
        from onnx import numpy_helper

        array = np.asarray(values, dtype=kind)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(
        self, operator: str, inputs: list[str], output: str, **options: Any
    ) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], **options))
        return output


def _walk(
    levels: _Levels, trees: int, *, raw: str, base: float
) -> tuple[list[Any], list[Any]]:
    """Nodes from `features` to `raw` (n, targets), and their constants."""
    w = _Writer()
    missing = w.node("IsNaN", ["features"], "missing")
    low = w.constant("low", -np.inf, np.float32)
    high = w.constant("high", np.inf, np.float32)
    w.node("Where", [missing, low, "features"], "as_low")
    w.node("Where", [missing, high, "features"], "as_high")
    rows = w.node("Concat", ["as_low", "as_high"], "twice", axis=1)
    at = w.constant("roots", np.arange(trees)[None, :], np.int32)
    for d in range(len(levels.feature)):
        at = _step(w, levels, d, rows=rows, at=at)
    leaves = w.constant("leaves", levels.leaves, np.float32)
    reached = w.node("Gather", [leaves, at], "reached")
    axes = w.constant("trees_axis", [1], np.int64)
    total = w.node("ReduceSum", [reached, axes], "total", keepdims=0)
    start = np.zeros(levels.leaves.shape[1])
    start[0] = base
    w.node("Add", [total, w.constant("base", start, np.float32)], raw)
    return w.nodes, w.constants


def _step(w: _Writer, levels: _Levels, d: int, *, rows: str, at: str) -> str:
    """From the nodes `at` level d to those below: 2 x node, plus one to the right."""
    from onnx import TensorProto

    features = w.constant(f"feature{d}", levels.feature[d], np.int32)
    bound = w.constant(f"threshold{d}", levels.threshold[d], np.float32)
    if d == 0:
        value = w.node("Gather", [rows, features], "value0", axis=1)
    else:
        asked = w.node("Gather", [features, at], f"asked{d}")
        bound = w.node("Gather", [bound, at], f"bound{d}")
        value = w.node("GatherElements", [rows, asked], f"value{d}", axis=1)
    right = w.node("GreaterOrEqual", [value, bound], f"right{d}")
    bit = w.node("Cast", [right], f"bit{d}", to=TensorProto.INT32)
    twice = w.node("Add", [at, at], f"left{d}")
    return w.node("Add", [twice, bit], f"at{d}")
