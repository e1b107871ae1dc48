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
    """Perfect trees of one depth: level d is (2^d, trees), the leaves (2^depth,
    trees, targets).

    A node's row is the turns that lead to it read as bits, right for 1, the first
    turn the lowest: a turn more adds to the number of the way so far.
    """

    feature: list[NDArray[np.int32]]
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
    nodes, constants = _walk(levels, raw=raw, base=forest.base_margin)
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
        feature=[np.zeros((2**d, count), dtype=np.int32) for d in range(depth)],
        threshold=[np.zeros((2**d, count), dtype=np.float32) for d in range(depth)],
        leaves=np.zeros((2**depth, count, 1 + groups), dtype=np.float32),
    )
    for index, tree in enumerate(forest.trees):
        vectors = np.zeros((len(tree.left), 1 + groups))
        vectors[:, 0] = tree.value
        if reasons is not None:
            vectors[tree.leaves, 1:] = reasons.leaves[index]
        _lay_out(levels, index, tree, vectors, forest.feature_count)
    return levels


def _lay_out(
    levels: _Levels,
    index: int,
    tree: Tree,
    vectors: NDArray[np.float64],
    feature_count: int,
) -> None:
    """Copy a tree into its column of every level; below a leaf, all ways lead to it."""
    depth = len(levels.feature)
    at = np.zeros(1, dtype=np.int64)  # nodes of this level, in the order of rows
    for d in range(depth):
        leaf = tree.left[at] < 0
        copy = np.where(tree.default_left[at], 0, feature_count)
        levels.feature[d][:, index] = np.where(leaf, 0, tree.feature[at] + copy)
        levels.threshold[d][:, index] = np.where(leaf, 0, tree.threshold[at])
        below = np.where(leaf, at, tree.left[at]), np.where(leaf, at, tree.right[at])
        at = np.concatenate(below)
    levels.leaves[:, index] = vectors[at]


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


def _walk(levels: _Levels, *, raw: str, base: float) -> tuple[list[Any], list[Any]]:
    """Nodes from `features` to `raw` (n, targets), and their constants."""
    w = _Writer()
    ways, trees, targets = levels.leaves.shape
    missing = w.node("IsNaN", ["features"], "missing")
    low = w.constant("low", -np.inf, np.float32)
    high = w.constant("high", np.inf, np.float32)
    w.node("Where", [missing, low, "features"], "as_low")
    w.node("Where", [missing, high, "features"], "as_high")
    values = w.node("Concat", ["as_low", "as_high"], "twice", axis=1)
    w.constant("flat", [-1], np.int64)
    w.constant("by_row", [-1, trees], np.int64)
    at = _root(w, levels, missing=missing, values=values)
    for d in range(1, len(levels.feature)):
        at = _step(w, levels, d, values=values, at=at)
    leaves = levels.leaves.reshape(ways * trees, targets)
    reached = w.node("Gather", [w.constant("leaves", leaves, np.float32), at], "leaf")
    total = w.node("ReduceSum", [reached, w.constant("one", [1], np.int64)], "total",
                   keepdims=0)  # fmt: skip
    start = np.zeros(targets)
    start[0] = base
    w.node("Add", [total, w.constant("base", start, np.float32)], raw)
    return w.nodes, w.constants


def _root(w: _Writer, levels: _Levels, *, missing: str, values: str) -> str:
    """From every tree's root to the nodes (n, trees) of level 1, numbered over all
    trees.
    """
    from onnx import TensorProto

    # A zero for each row, of what is at hand: it lays the roots out n times.
    any_column = w.constant("any_column", [0], np.int64)
    some = w.node("Gather", [missing, any_column], "some", axis=1)
    some = w.node("Cast", [some], "some_bit", to=TensorProto.INT32)
    none = w.node("Mul", [some, w.constant("zero", 0, np.int32)], "none")
    roots = w.constant("roots", np.arange(levels.leaves.shape[1]), np.int32)
    if not levels.feature:
        return w.node("Add", [none, roots], "at0")
    feature = w.constant("feature0", levels.feature[0][0], np.int32)
    bound = w.constant("threshold0", levels.threshold[0][0], np.float32)
    asked = w.node("Add", [none, feature], "asked0")
    right = _right(w, 0, values=values, asked=asked, bound=bound)
    return _turned(w, 0, at=roots, right=right, trees=levels.leaves.shape[1])


def _step(w: _Writer, levels: _Levels, d: int, *, values: str, at: str) -> str:
    """From the nodes `at` (n, trees) of level d to those of the level below.

    By GatherElements on flat constants: ONNX Runtime's Gather takes every number for
    a block of its own, which costs ten times as much.
    """
    feature = w.constant(f"feature{d}", levels.feature[d].ravel(), np.int32)
    bound = w.constant(f"threshold{d}", levels.threshold[d].ravel(), np.float32)
    flat = w.node("Reshape", [at, "flat"], f"flat{d}")
    asked = w.node("GatherElements", [feature, flat], f"asked_flat{d}", axis=0)
    bound = w.node("GatherElements", [bound, flat], f"bound_flat{d}", axis=0)
    asked = w.node("Reshape", [asked, "by_row"], f"asked{d}")
    bound = w.node("Reshape", [bound, "by_row"], f"bound{d}")
    right = _right(w, d, values=values, asked=asked, bound=bound)
    return _turned(w, d, at=at, right=right, trees=levels.leaves.shape[1])


def _right(w: _Writer, d: int, *, values: str, asked: str, bound: str) -> str:
    """Whether each node of level d (n, trees) turns to the right."""
    value = w.node("GatherElements", [values, asked], f"value{d}", axis=1)
    return w.node("GreaterOrEqual", [value, bound], f"right{d}")


def _turned(w: _Writer, d: int, *, at: str, right: str, trees: int) -> str:
    """Number the nodes below: a turn to the right adds 2^d rows."""
    from onnx import TensorProto

    bit = w.node("Cast", [right], f"bit{d}", to=TensorProto.INT32)
    below = w.constant(f"below{d}", 2**d * trees, np.int32)
    turn = w.node("Mul", [bit, below], f"turn{d}")
    return w.node("Add", [at, turn], f"at{d + 1}")
