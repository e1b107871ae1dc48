"""What each leaf says about why: its contribution by reason group.

Two ways to attribute a tree's output to feature groups with a vector per leaf, so
that the graph gives reasons in the same pass as the score:

- path: the change of the mean along the leaf's path (Saabas); exactly additive;
- leaf-mean: the mean exact TreeSHAP of the rows that reach the leaf, the best such
  vector in the least-squares sense.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

from scoring.training.forest import Forest, Tree
from scoring.training.progress import Report, silent

Floats = NDArray[np.float64]
_DEPTH_MAX = 8  # 2^8 patterns a leaf; deeper trees take path contributions


@dataclass(frozen=True, slots=True)
class Reasons:
    """Contributions (leaves, groups) for each tree, in the order of its leaves.

    `base` is the expected margin: margin = base + sum of contributions, exactly
    for "path", on average for "leaf-mean".
    """

    method: str
    base: float
    leaves: tuple[Floats, ...]


def path_reasons(forest: Forest, group: NDArray[np.int64], *, count: int) -> Reasons:
    """Attribute by path; `group` maps a feature's index to one of `count` groups."""
    tables = tuple(_path_table(t, group, count) for t in forest.trees)
    return Reasons("path", expected_margin(forest), tables)


def expected_margin(forest: Forest) -> float:
    """The mean margin by cover: what TreeSHAP calls the expected value."""
    return forest.base_margin + float(sum(t.value[0] for t in forest.trees))


def _path_table(tree: Tree, group: NDArray[np.int64], count: int) -> Floats:
    paths = tree.paths()
    table = np.zeros((len(paths), count))
    for row, leaf in enumerate(tree.leaves.tolist()):
        nodes = [node for node, _ in paths[leaf]]
        below = [*nodes[1:], leaf]
        for node, child in zip(nodes, below, strict=bool(nodes)):
            change = tree.value[child] - tree.value[node]
            table[row, group[tree.feature[node]]] += change
    return table


def leaf_mean_reasons(
    forest: Forest,
    group: NDArray[np.int64],
    *,
    count: int,
    rows: NDArray[np.float32],
    report: Report = silent,
) -> Reasons:
    """Attribute by the mean exact SHAP of the `rows` (n, features) in each leaf.

    Leaves that none of the rows reaches, and trees deeper than 8, keep their path
    contributions.
    """
    tables = []
    for index, tree in enumerate(forest.trees):
        table = _path_table(tree, group, count)
        shape = _LeafGames.of(tree)
        if 0 < shape.players <= _DEPTH_MAX:
            reached, means = shape.mean_shap(rows, group, count)
            table[reached] = means
        tables.append(table)
        report("reasons", (index + 1) / len(forest.trees))
    return Reasons("leaf-mean", expected_margin(forest), tuple(tables))


def tree_shap(tree: Tree, rows: NDArray[np.float32]) -> Floats:
    """Exact path-dependent TreeSHAP of one tree, (n, features): the plain oracle."""
    shape = _LeafGames.of(tree)
    table = shape.shapley()
    result = np.zeros((len(rows), rows.shape[1]))
    for leaf, pattern in enumerate(shape.patterns(rows)):
        for player, feature in enumerate(shape.feature[leaf]):
            if feature >= 0:
                result[:, feature] += table[leaf, pattern, player]
    return result


@dataclass(frozen=True, slots=True)
class _LeafGames:
    """A tree as one game per leaf, whose players are the features on its path.

    A leaf pays its value where every player is satisfied; a player not asked pays
    the share of cover that goes the leaf's way. Shapley values of that game depend
    only on which players a row satisfies: at most 2^players patterns.
    """

    tree: Tree
    players: int
    feature: NDArray[np.int64]  # (leaves, players), -1 pads: it changes nothing
    share: Floats  # (leaves, players) product of cover shares, 1 for padding
    steps: tuple[tuple[tuple[int, int, bool], ...], ...]  # (player, node, left)

    @classmethod
    def of(cls, tree: Tree) -> _LeafGames:
        paths = tree.paths()
        leaves = tree.leaves.tolist()
        asked = [
            list(dict.fromkeys(int(tree.feature[n]) for n, _ in paths[leaf]))
            for leaf in leaves
        ]
        players = max(map(len, asked))
        feature = np.full((len(leaves), players), -1)
        share = np.ones((len(leaves), players))
        steps = []
        for row, leaf in enumerate(leaves):
            feature[row, : len(asked[row])] = asked[row]
            taken = []
            for node, went_left in paths[leaf]:
                player = asked[row].index(int(tree.feature[node]))
                child = tree.left[node] if went_left else tree.right[node]
                share[row, player] *= tree.cover[child] / tree.cover[node]
                taken.append((player, node, went_left))
            steps.append(tuple(taken))
        return cls(tree, players, feature, share, tuple(steps))

    def patterns(self, rows: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        """For each leaf, which players each row satisfies, as bits."""
        tree = self.tree
        goes_left = {}
        for node in np.flatnonzero(tree.left >= 0).tolist():
            x = rows[:, tree.feature[node]]
            missing = np.isnan(x) & bool(tree.default_left[node])
            goes_left[node] = (x < tree.threshold[node]) | missing
        return [self._pattern(steps, goes_left, len(rows)) for steps in self.steps]

    def _pattern(
        self,
        steps: tuple[tuple[int, int, bool], ...],
        goes_left: dict[int, NDArray[np.bool_]],
        count: int,
    ) -> NDArray[np.int64]:
        happy = np.ones((self.players, count), dtype=bool)
        for player, node, left in steps:
            happy[player] &= goes_left[node] if left else ~goes_left[node]
        bits = np.zeros(count, dtype=np.int64)
        for player in range(self.players):
            bits |= happy[player].astype(np.int64) << player
        return bits

    def shapley(self) -> Floats:
        """Shapley values (leaves, patterns, players)."""
        players = self.players
        satisfied = (np.arange(2**players)[:, None] >> np.arange(players)) & 1
        value = self.tree.value[self.tree.leaves][:, None]
        weights = [
            factorial(s) * factorial(players - 1 - s) / factorial(players)
            for s in range(players)
        ]
        table = np.zeros((len(self.share), 2**players, players))
        for player in range(players):
            others = [p for p in range(players) if p != player]
            by_size = _coalitions(self.share, satisfied, others)
            own = satisfied[None, :, player] - self.share[:, None, player]
            mixed = sum(w * c for w, c in zip(weights, by_size, strict=True))
            table[:, :, player] = value * own * mixed
        return table

    def mean_shap(
        self, rows: NDArray[np.float32], group: NDArray[np.int64], count: int
    ) -> tuple[NDArray[np.int64], Floats]:
        """(leaves reached, mean SHAP by group of the rows in each of them)."""
        patterns = self.patterns(rows)
        full = 2**self.players - 1
        leaf_of_row = np.zeros(len(rows), dtype=np.int64)
        for leaf, bits in enumerate(patterns):
            leaf_of_row[bits == full] = leaf
        table = self.shapley()
        leaves = len(patterns)
        means = np.zeros((leaves, count))
        for leaf, bits in enumerate(patterns):
            pair = leaf_of_row * (full + 1) + bits
            seen = np.bincount(pair, minlength=leaves * (full + 1))
            added = seen.reshape(leaves, full + 1) @ table[leaf]
            for player, feature in enumerate(self.feature[leaf]):
                if feature >= 0:
                    means[:, group[feature]] += added[:, player]
        size = np.bincount(leaf_of_row, minlength=leaves)
        reached = np.flatnonzero(size)
        return reached, means[reached] / size[reached, None]


def _coalitions(
    share: Floats, satisfied: NDArray[np.int64], others: list[int]
) -> list[Floats]:
    """Sums over coalitions of `others` by size, each (leaves, patterns).

    Coefficients of the product of (share + satisfied y) over the others.
    """
    shape = (len(share), len(satisfied))
    by_size = [np.ones(shape)]
    for p in others:
        out, into = share[:, None, p], satisfied[None, :, p]
        longer = [by_size[0] * out]
        for lower, upper in itertools.pairwise(by_size):
            longer.append(lower * into + upper * out)
        longer.append(by_size[-1] * into)
        by_size = longer
    return by_size
