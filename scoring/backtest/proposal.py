"""A policy text with other thresholds: nothing else changes, comments neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from scoring.backtest.costs import Cheapest, Levels
from scoring.errors import BadArtifact

_NAMES = ("challenge", "review", "decline")
Edit = tuple[int, int, str]  # what lies from .. to of the text is replaced


def with_levels(text: str, chosen: Sequence[Cheapest]) -> str:
    """The text with the chosen levels; the last are the default's.

    A segment whose levels are kept keeps those of the default's that it does not
    write, too. Raises `BadArtifact` where the thresholds are written with aliases.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
        raise BadArtifact("the policy uses aliases (*name): write its thresholds out")
    thresholds = _value(root, "thresholds")
    segments = _value(thresholds, "segments")
    nodes = [*(segments.value if segments else ()), _value(thresholds, "default")]
    inherited = not chosen[-1].kept  # the default's levels are others from now on
    edits: list[Edit] = []
    for node, one in zip(nodes, chosen, strict=True):
        if not one.kept:
            edits += _edits(node, one.chosen)
        elif inherited:
            edits += _added(node, one.chosen)
    for start, end, written in sorted(edits, reverse=True):
        text = text[:start] + written + text[end:]
    return text


def _value(mapping: Any, name: str) -> Any:
    pairs = mapping.value if mapping is not None else ()
    return next((value for key, value in pairs if key.value == name), None)


def _edits(mapping: Any, levels: Levels) -> list[Edit]:
    """The edits of one mapping: levels it has are replaced, others are added."""
    replaced = [
        (value.start_mark.index, value.end_mark.index, _written(level))
        for name, level in zip(_NAMES, levels, strict=True)
        if (value := _value(mapping, name)) is not None
    ]
    return replaced + _added(mapping, levels)


def _added(mapping: Any, levels: Levels) -> list[Edit]:
    """The edit that adds the levels that a mapping lacks, if it lacks any."""
    lacking = [
        f"{name}: {_written(level)}"
        for name, level in zip(_NAMES, levels, strict=True)
        if _value(mapping, name) is None
    ]
    if not lacking:
        return []
    first = mapping.start_mark
    if mapping.flow_style:
        at = first.index + 1
        rest = ", " if mapping.value else ""
        return [(at, at, ", ".join(lacking) + rest)]
    lines = f"\n{' ' * first.column}".join(lacking)
    return [(first.index, first.index, f"{lines}\n{' ' * first.column}")]


def _written(level: float | None) -> str:
    return "null" if level is None else f"{level:.15g}"
