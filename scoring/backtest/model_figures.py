"""How good each model's scores were on archived payments, and how far they moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.backtest.run import DEFAULTS, BacktestOptions, workbench
from scoring.backtest.source import DAY_MS, PaidSource
from scoring.backtest.trial import BINS, bin_sql, truth_sql
from scoring.core.model.bundle import Baseline
from scoring.core.model.stability import bin_counts, stability_index
from scoring.replay.slices import GENUINE, PaymentClass

DRIFT_DAYS = 7  # the last ones: what moved before is known by now
DRIFT_ROWS_MIN = 1_000  # fewer say nothing
_DRIFT_ROWS_MAX = 50_000  # of each chunk: a sample by hash
_GROUPS = 20  # of a calibration curve, with equal weight
_FEATURES_MAX = 10  # shown: those that moved most
QUALITY_SOURCE = (
    "payments whose recorded score is of the model, and of which it is known whether "
    "they were fraud; what was declined then has no label and is left out"
)
DRIFT_SOURCE = (
    "population stability index of the last 7 days against the rows that the model was "
    "judged on; below 0.1 little has moved, above 0.25 much"
)
# The baseline of a model's bundle, and its features in order; None: not kept.
Baselines = Callable[[str], tuple[Baseline, tuple[str, ...]] | None]


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """Payments of neighbouring scores: how many, their mean score, their fraud."""

    weight: float
    score: float
    fraud: float


@dataclass(slots=True)
class ModelDrifts:
    """Rows of the last days, counted by a baseline; the score's column is the last."""

    baseline: Baseline
    names: tuple[str, ...]
    counts: list[NDArray[np.int64]] = field(default_factory=list)

    def take(self, matrix: NDArray[np.float32], scores: NDArray[np.float64]) -> None:
        """Count rows: (n, features) and (n,)."""
        known = [self.baseline.features[name] for name in self.names]
        fresh = [bin_counts(d, matrix[:, i]) for i, d in enumerate(known)]
        fresh.append(bin_counts(self.baseline.score, scores))
        before = self.counts or [np.zeros_like(counts) for counts in fresh]
        self.counts = [a + b for a, b in zip(before, fresh, strict=True)]

    def told(self) -> dict[str, Any]:
        """The indices: of the score, and of the features that moved most."""
        rows = int(self.counts[-1].sum()) if self.counts else 0
        found: dict[str, Any] = {"rows": rows, "score": None, "features": []}
        if rows < DRIFT_ROWS_MIN:
            return found
        found["score"] = _index(self.baseline.score, self.counts[-1])
        moved: list[dict[str, Any]] = [
            {
                "feature": name,
                "index": _index(self.baseline.features[name], counts),
                "missing": round(float(counts[-1] / max(1, counts.sum())), 6),
                "missing_then": self.baseline.features[name].null_share,
            }
            for name, counts in zip(self.names, self.counts, strict=False)
        ]
        moved.sort(key=lambda one: -(one["index"] or 0.0))
        found["features"] = moved[:_FEATURES_MAX]
        return found


def _index(baseline: Any, counts: NDArray[np.int64]) -> float | None:
    index = stability_index(baseline, counts)
    return None if np.isnan(index) else round(float(index), 6)


def model_figures(
    source: PaidSource, baselines: Baselines, options: BacktestOptions = DEFAULTS
) -> dict[str, Any]:
    """Every model that scored payments of the span, as JSON holds it, newest first."""
    drifts: dict[str, ModelDrifts | None] = {}
    with workbench(options) as con:
        span = source.span(con, options.days, options.label_delay_days)
        con.execute(
            """CREATE TEMP TABLE scored (model VARCHAR, bin SMALLINT, truth VARCHAR,
            count BIGINT, weight DOUBLE, score DOUBLE, last_ms BIGINT)"""
        )
        for _ in source.chunks(con, span):
            con.execute(_SCORED.format(truth_sql(span), bin_sql("score")))
            _drift(con, span.until_ms - DRIFT_DAYS * DAY_MS, baselines, drifts)
        models = [_model(con, row, drifts) for row in _models(con)]
    return {
        "quality_source": QUALITY_SOURCE,
        "drift_source": DRIFT_SOURCE,
        "models": models,
    }


_SCORED = """INSERT INTO scored
    SELECT model_version, {1} AS bin, {0} AS truth, count(*), sum(weight),
        sum(score * weight), max(occurred_at_ms)
    FROM (SELECT *, CASE WHEN let_through > 0 THEN 1.0 / let_through ELSE 1.0 END
        AS weight FROM paid)
    WHERE score IS NOT NULL AND NOT isnan(score)
        AND coalesce(unfit, '') NOT IN ('recorded more than once', 'forgotten')
    GROUP BY ALL"""


def _models(con: Any) -> Iterator[Any]:
    yield from con.execute(
        """SELECT model, sum(count)::BIGINT, max(last_ms) FROM scored
        WHERE model <> '' GROUP BY 1 ORDER BY max(last_ms) DESC, model"""
    ).fetchall()


def _model(
    con: Any, row: tuple[str, int, int], drifts: dict[str, ModelDrifts | None]
) -> dict[str, Any]:
    version, count, last_ms = row
    bins = np.zeros((3, BINS))  # fraud, genuine, score
    labelled = 0
    for bin_, truth, n, weight, score in con.execute(
        """SELECT bin, truth, sum(count)::BIGINT, sum(weight), sum(score) FROM scored
        WHERE model = ? GROUP BY ALL""",
        [version],
    ).fetchall():
        fraud = PaymentClass(truth) is PaymentClass.FRAUD
        if fraud or PaymentClass(truth) in GENUINE:
            bins[0 if fraud else 1, bin_] += weight
            bins[2, bin_] += score
            labelled += n
    own = drifts.get(version)
    return {
        "model": version,
        "payments": count,
        "last_ms": last_ms,
        "labelled": labelled,
        "frauds": round(float(bins[0].sum()), 3),
        "calibration": [
            {"score": round(one.score, 6), "fraud": round(one.fraud, 6)}
            for one in calibration(bins)
        ],
        "average_precision": average_precision(bins),
        "precision_recall": precision_recall(bins),
        "drift": own.told() if own is not None else None,
    }


def calibration(bins: NDArray[np.float64]) -> list[ScoredGroup]:
    """Neighbouring bins in groups of about equal weight; (3, bins) as `_model` has.

    >>> bins = np.array([[0.0, 1.0], [3.0, 1.0], [0.3, 1.1]])
    >>> [(g.weight, round(g.score, 2), g.fraud) for g in calibration(bins)]
    [(3.0, 0.1, 0.0), (2.0, 0.55, 0.5)]
    """
    least = float((bins[0] + bins[1]).sum()) / _GROUPS
    found, sums = [], np.zeros(3)
    for place, column in enumerate(bins.T, 1):
        sums += column
        fraud, genuine, score = sums.tolist()
        weight = fraud + genuine
        if weight > 0 and (weight >= least or place == bins.shape[1]):
            found.append(ScoredGroup(weight, score / weight, fraud / weight))
            sums = np.zeros(3)
    return found


def precision_recall(bins: NDArray[np.float64]) -> list[dict[str, float]]:
    """At each bin's lower edge, from the highest: what is at or above it.

    >>> precision_recall(np.array([[0.0, 1.0], [3.0, 1.0], [0.0, 0.0]]))
    [{'recall': 1.0, 'precision': 0.5}, {'recall': 1.0, 'precision': 0.2}]
    """
    fraud, seen = bins[0][::-1].cumsum(), (bins[0] + bins[1])[::-1].cumsum()
    if not fraud[-1]:
        return []
    held = np.flatnonzero((bins[0] + bins[1])[::-1])
    return [
        {
            "recall": round(float(fraud[i] / fraud[-1]), 6),
            "precision": round(float(fraud[i] / seen[i]), 6),
        }
        for i in held
    ]


def average_precision(bins: NDArray[np.float64]) -> float | None:
    """Precision averaged over recall; scores of one bin are taken together.

    >>> average_precision(np.array([[0.0, 1.0], [3.0, 1.0], [0.0, 0.0]]))
    0.5
    """
    points = precision_recall(bins)
    if not points:
        return None
    recalls = np.array([0.0, *(one["recall"] for one in points)])
    precisions = np.array([one["precision"] for one in points])
    return round(float((np.diff(recalls) * precisions).sum()), 6)


# Drift -------------------------------------------------------------------------------


def _drift(
    con: Any,
    from_ms: int,
    baselines: Baselines,
    drifts: dict[str, ModelDrifts | None],
) -> None:
    """Count a sample of the view `paid` by the baseline of each row's model."""
    rows = con.execute(
        f"""SELECT model_version, score, features FROM paid
        WHERE occurred_at_ms >= {from_ms} AND unfit IS NULL AND len(features) > 0
            AND score IS NOT NULL AND model_version <> ''
        ORDER BY hash(tenant, id) LIMIT {_DRIFT_ROWS_MAX}"""  # noqa: S608
    ).fetchnumpy()
    versions = np.asarray(rows["model_version"])
    for version in np.unique(versions).tolist() if len(versions) else []:
        if version not in drifts:
            known = baselines(version)
            drifts[version] = None if known is None else ModelDrifts(*known)
        own = drifts[version]
        if own is None:
            continue
        of_it = versions == version
        vectors = [np.asarray(v, np.float32) for v in rows["features"][of_it]]
        matrix = np.stack(vectors)
        if matrix.shape[1] == len(own.names):
            own.take(matrix, np.asarray(rows["score"][of_it], np.float64))
