"""The trees of an XGBoost model, read from its JSON; unsupported ones are refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BadArtifact

_OBJECTIVES = ("binary:logistic",)


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree as arrays over its nodes; node 0 is the root, -1 is "no child".

    A row goes left where feature < threshold (both float32), or where the feature
    is missing and `default_left` holds. `value` is the leaf's log-odds (of inner
    nodes: the cover-weighted mean of their leaves). `cover` is the hessian sum.
    """

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    default_left: NDArray[np.bool_]
    value: NDArray[np.float64]
    cover: NDArray[np.float64]

    @property
    def leaves(self) -> NDArray[np.int64]:
        """Indices of the leaves, ascending."""
        return np.flatnonzero(self.left < 0)

    def paths(self) -> dict[int, list[tuple[int, bool]]]:
        """For each leaf the inner nodes above it, root first: (node, went left)."""
        found: dict[int, list[tuple[int, bool]]] = {}
        stack: list[tuple[int, list[tuple[int, bool]]]] = [(0, [])]
        while stack:
            node, path = stack.pop()
            if self.left[node] < 0:
                found[node] = path
                continue
            stack.append((int(self.left[node]), [*path, (node, True)]))
            stack.append((int(self.right[node]), [*path, (node, False)]))
        return found


@dataclass(frozen=True, slots=True)
class Forest:
    """A boosted model: margin = base_margin + the reached leaves of all trees."""

    trees: tuple[Tree, ...]
    base_margin: float
    feature_count: int

    @property
    def depth(self) -> int:
        """Inner nodes on the longest path."""
        return max(max(map(len, t.paths().values())) for t in self.trees)


def forest_from_json(raw: bytes) -> Forest:
    """Read a booster saved as JSON.

    Raises `BadArtifact` for anything but single-output trees with numeric splits
    and a logistic objective: what we would compile wrongly is refused.
    """
    try:
        learner = json.loads(raw)["learner"]
        booster = learner["gradient_booster"]
        _refuse_unsupported(learner, booster)
        trees = tuple(_tree(t) for t in booster["model"]["trees"])
        parameters = learner["learner_model_param"]
        base = float(str(parameters["base_score"]).strip("[]"))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadArtifact(
            f"booster: not an XGBoost model in JSON ({error}); "
            "save it with save_raw('json')"
        ) from error
    if not trees:
        raise BadArtifact("booster: holds no trees; train at least one round")
    return Forest(
        trees=trees,
        base_margin=float(np.log(base / (1.0 - base))),
        feature_count=int(parameters["num_feature"]),
    )


def _refuse_unsupported(learner: dict[str, Any], booster: dict[str, Any]) -> None:
    objective = learner["objective"]["name"]
    if booster["name"] != "gbtree":
        raise BadArtifact(f"booster: {booster['name']} is not supported; use gbtree")
    if objective not in _OBJECTIVES:
        raise BadArtifact(
            f"booster: objective {objective} is not supported; use {_OBJECTIVES[0]}"
        )
    parameters = learner["learner_model_param"]
    outputs = max(int(parameters["num_class"]), int(parameters["num_target"]))
    if outputs > 1:
        raise BadArtifact("booster: has several outputs; train one class against rest")


def _tree(plain: dict[str, Any]) -> Tree:
    if any(plain.get("split_type", ())) or plain.get("categories"):
        raise BadArtifact(
            "booster: has categorical splits; encode categories as numbers"
        )
    if int(plain["tree_param"]["size_leaf_vector"]) > 1:
        raise BadArtifact("booster: has vector leaves; use one_output_per_tree")
    left = np.array(plain["left_children"], dtype=np.int32)
    right = np.array(plain["right_children"], dtype=np.int32)
    split = np.array(plain["split_conditions"], dtype=np.float32)
    cover = np.array(plain["sum_hessian"], dtype=np.float64)
    return Tree(
        left=left,
        right=right,
        feature=np.array(plain["split_indices"], dtype=np.int32),
        threshold=split,
        default_left=np.array(plain["default_left"], dtype=bool),
        value=_values(left, right, split, cover),
        cover=cover,
    )


def _values(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    split: NDArray[np.float32],
    cover: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Leaf values, and for inner nodes the cover-weighted mean below them."""
    value = split.astype(np.float64)
    # XGBoost numbers children after their parent, so backwards is bottom up.
    for node in range(len(left) - 1, -1, -1):
        if left[node] >= 0:
            below = [left[node], right[node]]
            value[node] = np.average(value[below], weights=cover[below])
    return value
