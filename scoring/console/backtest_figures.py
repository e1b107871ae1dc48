"""A backtest's figures, as its page has them in tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

FORMAT = 1  # of the figures that this release reads
Figures = Mapping[str, Any]
_FRAUD, _GENUINE = ("fraud",), ("legitimate", "assumed_legitimate")
_OUTCOMES = ("approve", "challenge", "review", "decline")
# In the order in which they are read, and in words; indented: a part of the one above.
_CLASSES = {
    "fraud_caught": "Fraud caught: not approved",
    "fraud_declined": "… of which declined",
    "fraud_missed": "Fraud missed: approved",
    "refunded_declined": "Refunded, declined",
    "refunded_others": "Refunded, not declined",
    "legitimate_refused": "Legitimate refused: declined",
    "legitimate_held": "Legitimate challenged or reviewed",
    "legitimate_approved": "Legitimate approved",
    "declined_by_us": "Declined by us then: no label, nothing saved",
    "not_yet_labelled": "Not yet labelled",
    "unknown": "Nothing known",
}


def found_by(figures: Figures) -> dict[str, Any]:
    """Every table of a backtest; of another release's figures only that it is so.

    >>> found_by({"format": 7})
    {'readable': False}
    """
    if figures.get("format") != FORMAT:
        return {"readable": False}
    return {
        "readable": True,
        "figures": figures,
        "classes": _classes(figures),
        "outcomes": _outcomes(figures),
        "rules": [_rule(line) for line in figures["rules"]],
        "flips": [
            {"flip": flip, "sample": part["sample"], **_summed(part)}
            for flip, part in figures["flips"]["outcomes"].items()
        ],
        "flips_by_rule": [
            {
                "rule": part["rule"] or "no rule: the score or a fallback",
                "what": part["what"],
                "flip": part["flip"],
                **_summed(part),
            }
            for part in figures["flips"]["rules"]
        ],
    }


def _classes(figures: Figures) -> list[dict[str, Any]]:
    old, new = figures["old"]["classes"], figures["new"]["classes"]
    return [
        {
            "words": words,
            "old": old[name]["count"],
            "new": new[name]["count"],
            "difference": new[name]["count"] - old[name]["count"],
            "old_amounts": old[name]["amounts_minor"],
            "new_amounts": new[name]["amounts_minor"],
        }
        for name, words in _CLASSES.items()
    ]


def _outcomes(figures: Figures) -> list[dict[str, Any]]:
    old, new = figures["old"]["outcomes"], figures["new"]["outcomes"]
    every = figures["eligible"] or 1
    return [
        {
            "name": name,
            "old": old[name]["count"],
            "new": new[name]["count"],
            "old_share": old[name]["count"] / every,
            "new_share": new[name]["count"] / every,
            **_summed(new[name]),
        }
        for name in _OUTCOMES
    ]


def _rule(line: Figures) -> dict[str, Any]:
    most = next(iter(line["overlaps"].items()), ("", 0))
    return {
        **{name: line[name] for name in ("rule", "mode", "asks", "unknown")},
        **_summed(line["hits"]),
        "quiet": line["quiet"]["count"],
        "alone": line["alone"]["count"],
        "alone_frauds": _count(line["alone"], _FRAUD),
        "mostly_with": most[0],
        "mostly_with_count": most[1],
    }


def _summed(part: Figures) -> dict[str, Any]:
    """Payments of one kind: how many, their money, and how right it was.

    >>> _summed({"count": 3, "precision": 0.5, "by_truth": {
    ...     "fraud": {"count": 1, "amounts_minor": {"EUR": 100}},
    ...     "legitimate": {"count": 2, "amounts_minor": {"EUR": 50, "USD": 7}}}})
    {'count': 3, 'frauds': 1, 'genuine': 2, 'amounts': {'EUR': 150, 'USD': 7}, \
'precision': 0.5, 'interval': None}
    """
    return {
        "count": part["count"],
        "frauds": _count(part, _FRAUD),
        "genuine": _count(part, _GENUINE),
        "amounts": _amounts(part["by_truth"].values()),
        "precision": part["precision"],
        "interval": part.get("precision_interval"),  # kept by an earlier release: none
    }


def _count(part: Figures, truths: Iterable[str]) -> int:
    by_truth = part["by_truth"]
    return sum(by_truth[truth]["count"] for truth in truths if truth in by_truth)


def _amounts(sums: Iterable[Figures]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for one in sums:
        found.update(one["amounts_minor"])
    return dict(sorted(found.items()))
