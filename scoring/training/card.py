"""A model card beside every bundle: what it is for, how good, where it is weak."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scoring.core.model import bundle
from scoring.core.model.bundle import Manifest, manifest_from_json
from scoring.core.policy.policy_file import Levels
from scoring.training.card_thresholds import thresholds_table
from scoring.training.dataset import Dataset
from scoring.training.package import run_graph
from scoring.training.plots import bar_chart, line_chart

CARD_FILE = "card.md"
_AT_THRESHOLDS = """
## At the policy's thresholds

Of the same rows by score alone, at the levels for all payments; rules, lists and levels
of segments are left out. False positives are genuine payments that are not approved.

"""
_REVIEW_RATE = 0.01
_CURVE_POINTS = 200
_IMPORTANT = 15
_BANDS_MINOR = (0, 1_000, 5_000, 10_000, 22_000, 50_000, 10**13)


def write_card(
    directory: Path, dataset: Dataset, *, levels: Levels | None = None
) -> Path:
    """Write card.md and its charts into a bundle's directory, and return its path.

    The rows judged are those after the model's calibration and label delay. With the
    `levels` of a policy it says what those decide.
    """
    path = directory / bundle.MANIFEST_FILE
    manifest = manifest_from_json(path.read_text(), name=str(path))
    training = manifest.training
    judged = dataset.rows(
        training.calibrated_until_ms + training.label_delay_ms,
        training.evaluated_until_ms,
    )
    score = _score(directory, manifest, dataset.matrix[judged])
    fraud, amount = dataset.fraud[judged], dataset.amount_minor[judged]
    charts = {
        "precision-recall.svg": _precision_recall(score, fraud),
        "calibration.svg": _calibration(score, fraud),
        "scores.svg": _scores(score, fraud),
        "recall-by-amount.svg": bar_chart(_recall_by_amount(score, fraud, amount)),
        "importance.svg": bar_chart(_importance(directory, manifest)),
    }
    if dataset.segments is not None:
        segments = _recall_by_segment(score, fraud, dataset.segments[judged])
        charts["recall-by-segment.svg"] = bar_chart(segments)
    for name, chart in charts.items():
        (directory / name).write_text(chart)
    card = directory / CARD_FILE
    decided = ""
    if levels is not None:
        parts = None if dataset.segments is None else dataset.segments[judged]
        decided = _AT_THRESHOLDS + thresholds_table(
            score,
            fraud,
            levels=levels,
            segments=parts,
            weights=dataset.weights_of(judged),
        )
    card.write_text(_text(manifest, list(charts), decided))
    return card


def _score(
    directory: Path, manifest: Manifest, rows: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The calibrated scores, after the second looks that are due."""
    graph = (directory / bundle.GRAPH_FILE).read_bytes()
    score = run_graph(graph, rows)["calibrated"][:, 0]
    if manifest.deeper is not None:
        due = manifest.deeper.band.holds(score)
        larger = (directory / bundle.SECOND_GRAPH_FILE).read_bytes()
        score[due] = run_graph(larger, rows[due])["calibrated"][:, 0]
    return score.astype(np.float64)


def _precision_recall(score: NDArray[np.float64], fraud: NDArray[np.bool_]) -> str:
    hits = np.cumsum(fraud[np.argsort(-score, kind="stable")])
    points = np.unique(np.linspace(0, len(hits) - 1, 2 * _CURVE_POINTS).astype(int))
    recall, precision = hits / max(hits[-1], 1), hits / np.arange(1, len(hits) + 1)
    curve = list(zip(recall[points].tolist(), precision[points].tolist(), strict=True))
    return line_chart({"precision at recall": curve}, x="recall", y="precision")


def _calibration(score: NDArray[np.float64], fraud: NDArray[np.bool_]) -> str:
    bins = np.array_split(np.argsort(score, kind="stable"), 20)
    points = [(float(score[b].mean()), float(fraud[b].mean())) for b in bins if len(b)]
    top = max(max(p) for p in points) or 1.0
    series = {"observed": points, "perfect": [(0.0, 0.0), (top, top)]}
    return line_chart(series, x="score", y="share of fraud", limits=(top, top))


def _scores(score: NDArray[np.float64], fraud: NDArray[np.bool_]) -> str:
    """Share of each class at or above a score: rare classes stay visible."""
    grid = np.linspace(0, 1, _CURVE_POINTS)
    series = {}
    for name, rows in (("fraud", fraud), ("genuine", ~fraud)):
        own = np.sort(score[rows])
        above = 1 - np.searchsorted(own, grid) / max(len(own), 1)
        series[name] = list(zip(grid.tolist(), above.tolist(), strict=True))
    return line_chart(series, x="score", y="share at or above")


def _recall_by_amount(
    score: NDArray[np.float64], fraud: NDArray[np.bool_], amount: NDArray[np.int64]
) -> list[tuple[str, float]]:
    """Recall by amount when the 1 % highest scores are reviewed."""
    reviewed = _reviewed(score)
    bars = []
    for low, high in itertools.pairwise(_BANDS_MINOR):
        rows = fraud & (amount >= low) & (amount < high)
        if rows.any():
            name = f"{low / 100:g} and more ({rows.sum()})"
            bars.append((name, float(reviewed[rows].mean())))
    return bars


def _recall_by_segment(
    score: NDArray[np.float64], fraud: NDArray[np.bool_], segments: NDArray[np.str_]
) -> list[tuple[str, float]]:
    """The same by channel, the one with most frauds first."""
    names, counts = np.unique(segments[fraud], return_counts=True)
    reviewed = _reviewed(score)
    return [
        (
            f"{names[i]} ({counts[i]})",
            float(reviewed[fraud & (segments == names[i])].mean()),
        )
        for i in np.argsort(-counts)
    ]


def _reviewed(score: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows have the 1 % highest scores."""
    return np.asarray(score >= np.quantile(score, 1 - _REVIEW_RATE))


def _importance(directory: Path, manifest: Manifest) -> list[tuple[str, float]]:
    """Share of total gain of the most important features."""
    import xgboost

    booster = xgboost.Booster(model_file=directory / bundle.BOOSTER_FILE)
    gains = booster.get_score(importance_type="total_gain")
    total = sum(gains.values()) or 1.0
    named = [
        (manifest.feature_names[int(key[1:])], float(gain) / total)
        for key, gain in gains.items()
    ]
    return sorted(named, key=lambda pair: -pair[1])[:_IMPORTANT]


def _text(manifest: Manifest, charts: list[str], decided: str) -> str:
    training = manifest.training
    figures = "\n".join(
        f"| {name} | {'-' if value is None else f'{value:.4g}'} |"
        for name, value in manifest.metrics.items()
    )
    images = "\n\n".join(f"![{Path(c).stem}]({c})" for c in charts)
    judged_from = training.calibrated_until_ms + training.label_delay_ms
    return f"""# Model {manifest.version}

Scores card payments between 0 and 1: the probability of fraud. Meant to rank and to
explain payments beside a policy of rules; not meant to decide about a person.

| | |
|---|---|
| feature definitions | {manifest.features_version}, {len(manifest.feature_names)} features |
| fitted on | {training.rows:,} rows, {training.frauds:,} of them fraud |
| fitted from, until | {_date(training.from_ms)}, {_date(training.until_ms)} |
| calibrated until | {_date(training.calibrated_until_ms)} |
| judged from, until | {_date(judged_from)}, {_date(training.evaluated_until_ms)} |
| labels known after | {training.label_delay_ms / 86_400_000:g} days |
| settings | `{json.dumps(training.parameters)}` |
| reasons | {manifest.reason_method}, {len(manifest.reason_groups)} groups |

## Figures on later rows that it never saw

| figure | value |
|---|---|
{figures}
{decided}
{_second_look(manifest)}{images}

## Limits

- Time alone splits the rows: figures hold for what comes after, while the world
  stays like this. Watch the drift of scores and features.
- Recall by amount and by channel is at a review of the 1 % highest scores; the bars
  show in brackets how many frauds there were. Few frauds make a bar worth little.
- Figures from a simulated world say nothing of a real one.
"""  # noqa: E501 - a table row is one line


def _second_look(manifest: Manifest) -> str:
    deeper = manifest.deeper
    if deeper is None:
        return ""
    figures = "\n".join(
        f"| {name} | {'-' if value is None else f'{value:.4g}'} |"
        for name, value in deeper.metrics.items()
    )
    return f"""## Second look

Where the first score lies from {deeper.band.low:.4g} to below {deeper.band.high:.4g},
a larger model scores again (`{json.dumps(deeper.parameters)}`). The figures above are
of both; the first alone, both, and the larger one alone:

| figure | value |
|---|---|
{figures}

"""


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
