"""Whether a replay judges payments that its model may have learned from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scoring.core.model.bundle import MANIFEST_FILE, Manifest, manifest_from_json
from scoring.errors import ScoringError
from scoring.training.sql import connect

_DAY = timedelta(days=1)


def fitted_remarks(
    path: Path, bundle: Callable[[str], Path], *, from_ms: int = 0
) -> list[str]:
    """One remark a model of a decisions file, where its figures may flatter.

    `bundle` finds a model's directory by its version; raises a `ScoringError` where
    it is not kept. Judged are the labelled payments from `from_ms` on. That a payment's
    time lies among those of the fitted rows proves nothing where the tables differ:
    only a person knows that.
    """
    query = """
        SELECT model_version, list(occurred_at_ms) AS times
        FROM read_parquet(?)
        WHERE fraud IS NOT NULL AND score IS NOT NULL AND occurred_at_ms >= ?
        GROUP BY model_version ORDER BY model_version
    """
    with connect() as con:
        found = con.execute(query, [str(path), from_ms]).fetchall()
    return [
        remark
        for version, times in found
        if (remark := _remark(version, times, _manifest(version, bundle)))
    ]


def _manifest(version: str, bundle: Callable[[str], Path]) -> Manifest | None:
    try:
        file = bundle(version) / MANIFEST_FILE
        return manifest_from_json(file.read_text("utf-8"), name=str(file))
    except (ScoringError, OSError):
        return None


def _remark(version: str, times: list[int], manifest: Manifest | None) -> str:
    if manifest is None:
        return (
            f"model {version} is not kept here: whether it learned from some of the "
            f"{len(times):,} judged payments is not known"
        )
    training = manifest.training
    until_ms = training.calibrated_until_ms
    count = sum(training.from_ms <= at < until_ms for at in times)
    if not count:
        return ""
    first, last = _instant(training.from_ms), _instant(until_ms - 1)
    later = last.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
    return (
        f"model {version} learned from payments of {first:%Y-%m-%d} to "
        f"{last:%Y-%m-%d}, and {count:,} of {len(times):,} judged payments are of "
        "these days: where they are the same payments, the figures flatter; "
        f"--judge-from {later:%Y-%m-%d} leaves them out"
    )


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1_000, UTC)
