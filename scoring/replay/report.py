"""What a replay showed: counts, quality, and proofs that two runs agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scoring.errors import BadArtifact
from scoring.training.dataset import CardDays
from scoring.training.quality import Quality, quality_report
from scoring.training.sql import connect

_DAY_MS = 86_400_000
_EXAMPLES_MAX = 5


def quality_of(path: Path, *, from_ms: int = 0) -> Quality | None:
    """Judge a decisions file against its truth; None where it has no label.

    `from_ms` leaves out earlier rows, such as those that only warmed the features.
    """
    query = """
        SELECT score, margin, fraud, customer, occurred_at_ms
        FROM read_parquet(?)
        WHERE fraud IS NOT NULL AND score IS NOT NULL AND occurred_at_ms >= ?
    """
    with connect() as con:
        found = con.execute(query, [str(path), from_ms]).fetchnumpy()
    if not len(found["score"]):
        return None
    return quality_report(
        found["score"],
        found["fraud"],
        card_days=CardDays(
            found["customer"].astype(str), found["occurred_at_ms"] // _DAY_MS
        ),
        ranking=found["margin"],
    )


@dataclass(frozen=True, slots=True)
class ReplayComparison:
    """Two decisions files, transaction by transaction.

    `missing` are in one file only; `differing` have unequal cores, of which
    `examples` names a few; `score_difference_max` is over those in both.
    """

    both: int
    missing: int
    differing: int
    score_difference_max: float
    examples: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every transaction has the same core in both."""
        return not self.missing and not self.differing


def compare(first: Path, second: Path) -> ReplayComparison:
    """Compare the cores of two decisions files; raises `BadArtifact`."""
    for path in (first, second):
        if not path.is_file():
            raise BadArtifact(f"{path}: there is no such file")
    joined = """
        FROM read_parquet(?) AS a FULL OUTER JOIN read_parquet(?) AS b ON a.id = b.id
    """
    files = [str(first), str(second)]
    with connect() as con:
        counts = con.execute(
            f"""
            SELECT
                count(*) FILTER (a.id IS NOT NULL AND b.id IS NOT NULL),
                count(*) FILTER (a.id IS NULL OR b.id IS NULL),
                count(*) FILTER (a.core_sha256 <> b.core_sha256),
                coalesce(max(abs(a.score - b.score)), 0)
            {joined}
            """,
            files,
        ).fetchone()
        examples = con.execute(
            f"""
            SELECT coalesce(a.id, b.id) {joined}
            WHERE a.core_sha256 IS DISTINCT FROM b.core_sha256
            ORDER BY coalesce(a.occurred_at_ms, b.occurred_at_ms), 1
            LIMIT {_EXAMPLES_MAX}
            """,  # noqa: S608 fixed text
            files,
        ).fetchall()
    assert counts is not None
    both, missing, differing, difference = counts
    return ReplayComparison(
        both, missing, differing, float(difference), tuple(row[0] for row in examples)
    )


def features_that_differ(
    first: Path, second: Path, names: tuple[str, ...]
) -> dict[str, int]:
    """How many transactions have another value of each feature (NaN equals NaN)."""
    query = """
        SELECT a.features, b.features
        FROM read_parquet(?) AS a JOIN read_parquet(?) AS b ON a.id = b.id
        WHERE a.core_sha256 <> b.core_sha256 LIMIT 10000
    """
    with connect() as con:
        found = con.execute(query, [str(first), str(second)]).fetchall()
    counts = np.zeros(len(names), dtype=np.int64)
    for ours, theirs in found:
        left, right = np.array(ours, np.float32), np.array(theirs, np.float32)
        counts += ~((left == right) | (np.isnan(left) & np.isnan(right)))
    return {
        name: int(count) for name, count in zip(names, counts, strict=True) if count
    }
