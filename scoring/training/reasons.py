"""What each leaf says about why: its contribution by reason group.

Two ways to attribute a tree's output to feature groups with a vector per leaf, so
that the graph gives reasons in the same pass as the score:

- path: the change of the mean along the leaf's path (Saabas); exactly additive;
- fitted: near the exact TreeSHAP of sample rows in the least-squares sense; the
  residual is what it pays for naming the exact reasons more often.
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
_PARTS_MAX = 3  # nonzero groups a leaf: more cost time and add no agreement
_ROUNDS = 3
_SHRINKAGE = 300.0  # rows: a leaf with fewer moves less, lest it learn noise


@dataclass(frozen=True, slots=True)
class Reasons:
    """Contributions (leaves, groups) for each tree, in the order of its leaves.

    `base` is the expected margin: margin = base + sum of contributions, exactly
    for "path", approximately for "fitted".
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


def fitted_reasons(
    forest: Forest,
    group: NDArray[np.int64],
    *,
    count: int,
    rows: NDArray[np.float32],
    report: Report = silent,
) -> Reasons:
    """Attribute by vectors fitted to the exact TreeSHAP of `rows` (n, features).

    Each leaf starts from the largest parts of the mean SHAP of its tree over the rows
    that reach it (by path where none does, or where the tree is deeper than 8); then
    the parts kept in all leaves are refined together, to make up for those dropped.
    """
    tables, reached = [], []
    unexplained = np.zeros((len(rows), count))
    for index, tree in enumerate(forest.trees):
        games = _LeafGames.of(tree)
        patterns = games.patterns(rows)
        leaf = games.leaf_of_row(patterns)
        table = _path_table(tree, group, count)
        if games.players <= _DEPTH_MAX:
            exact = games.shap(patterns, group, count)
            _set_means(table, leaf, exact)
        else:
            exact = table[leaf]
        table = _largest(table)
        unexplained += exact - table[leaf]
        tables.append(table)
        reached.append(leaf)
        report("reasons", (index + 1) / len(forest.trees))
    _refine(tables, reached, unexplained)
    return Reasons("fitted", expected_margin(forest), tuple(tables))


def _set_means(table: Floats, leaf: NDArray[np.int64], exact: Floats) -> None:
    size = np.bincount(leaf, minlength=len(table))
    seen = size > 0
    table[seen] = _sums(leaf, exact, len(table))[seen] / size[seen, None]


def _sums(leaf: NDArray[np.int64], values: Floats, leaves: int) -> Floats:
    """Column sums of `values` (n, groups) by leaf: (leaves, groups)."""
    columns = [np.bincount(leaf, weights=v, minlength=leaves) for v in values.T]
    return np.column_stack(columns)


def _refine(
    tables: list[Floats], reached: list[NDArray[np.int64]], unexplained: Floats
) -> None:
    """Let the parts of every leaf take their shrunken share of what all leave over.

    Trees are correlated, so the sum of each one's best is not the best sum. Parts
    that are zero stay so: what is dropped before, the others learn to replace;
    dropped after, it is lost.
    """
    kept = [table != 0 for table in tables]
    for _ in range(_ROUNDS):
        for index, leaf in enumerate(reached):
            leaves = len(tables[index])
            size = np.bincount(leaf, minlength=leaves) + _SHRINKAGE
            step = _sums(leaf, unexplained, leaves) / size[:, None] * kept[index]
            tables[index] += step
            unexplained -= step[leaf]


def _largest(table: Floats) -> Floats:
    """The table with all but each leaf's largest parts at zero: the graph pays for
    every nonzero part.
    """
    order = np.argsort(-np.abs(table), axis=1, kind="stable")[:, _PARTS_MAX:]
    kept = table.copy()
    np.put_along_axis(kept, order, 0.0, axis=1)
    return kept


def tree_shap(tree: Tree, rows: NDArray[np.float32]) -> Floats:
    """Exact path-dependent TreeSHAP of one tree, (n, features)."""
    games = _LeafGames.of(tree)
    features = rows.shape[1]
    return games.shap(games.patterns(rows), np.arange(features), features)


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

    def leaf_of_row(self, patterns: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Which leaf each row reaches: the one that all its players satisfy."""
        full = 2**self.players - 1
        leaf_of_row = np.zeros(len(patterns[0]), dtype=np.int64)
        for leaf, bits in enumerate(patterns):
            leaf_of_row[bits == full] = leaf
        return leaf_of_row

    def shap(
        self, patterns: list[NDArray[np.int64]], group: NDArray[np.int64], count: int
    ) -> Floats:
        """Exact TreeSHAP by group, (rows, count)."""
        result = np.zeros((len(patterns[0]), count))
        for leaf, (bits, table) in enumerate(
            zip(patterns, self.shapley(), strict=True)
        ):
            by_group = np.zeros((len(table), count))
            for player, feature in enumerate(self.feature[leaf]):
                if feature >= 0:
                    by_group[:, group[feature]] += table[:, player]
            result += by_group[bits]
        return result


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
