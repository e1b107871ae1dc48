"""Whether a replay judges payments that its model may have learned from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scoring.core.model.bundle import MANIFEST_FILE, Training, manifest_from_json
from scoring.errors import ScoringError
from scoring.training.sql import connect

_DAY = timedelta(days=1)
_JUDGED = """
    FROM read_parquet($path)
    WHERE fraud IS NOT NULL AND score IS NOT NULL AND occurred_at_ms >= $from_ms
"""
_VERSIONS = f"SELECT model_version, count(*) {_JUDGED} GROUP BY ALL ORDER BY ALL"
_LEARNED = f"""
    SELECT count(*) {_JUDGED} AND model_version = $version
    AND occurred_at_ms >= $first_ms AND occurred_at_ms < $until_ms
"""


def fitted_remarks(
    path: Path, bundle: Callable[[str], Path], *, from_ms: int = 0
) -> list[str]:
    """One remark a model of a decisions file, where its figures may flatter.

    `bundle` finds a model's directory by its version; raises a `ScoringError` where
    it is not kept. Judged are the labelled payments from `from_ms` on. That a payment's
    time lies among those of the fitted rows proves nothing where the tables differ:
    only a person knows that.
    """
    judged: dict[str, Any] = {"path": str(path), "from_ms": from_ms}
    remarks = []
    with connect() as con:
        for version, count in con.execute(_VERSIONS, judged).fetchall():
            training = _training(version, bundle)
            if training is None:
                remarks.append(
                    f"model {version} is not kept here: whether it learned from some "
                    f"of the {count:,} judged payments is not known"
                )
                continue
            span = {
                "version": version,
                "first_ms": training.from_ms,
                "until_ms": training.calibrated_until_ms,
            }
            ((learned,),) = con.execute(_LEARNED, judged | span).fetchall()
            if learned:
                remarks.append(_remark(version, training, learned, count))
    return remarks


def _training(version: str, bundle: Callable[[str], Path]) -> Training | None:
    try:
        file = bundle(version) / MANIFEST_FILE
        return manifest_from_json(file.read_text("utf-8"), name=str(file)).training
    except (ScoringError, OSError):
        return None


def _remark(version: str, training: Training, learned: int, judged: int) -> str:
    first, last = _instant(training.from_ms), _instant(training.calibrated_until_ms - 1)
    later = last.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
    return (
        f"model {version} learned from payments of {first:%Y-%m-%d} to "
        f"{last:%Y-%m-%d}, and {learned:,} of {judged:,} judged payments are of "
        "these days: where they are the same payments, the figures flatter; "
        f"--judge-from {later:%Y-%m-%d} leaves them out"
    )


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1_000, UTC)
