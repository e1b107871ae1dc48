"""Recomputes logged vectors offline, and says where serving saw something else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.catalogue import Catalogue
from scoring.history.archive import Archive, readable
from scoring.history.ledger import Ledger
from scoring.history.topic_archiver import Progress, silent
from scoring.training.offline.engine import OfflineInput, offline_features
from scoring.training.offline.sql import key_of, named

Vectors = NDArray[np.float32]
# A vector that rests on less than the whole history is no evidence of skew.
_WITHOUT_HISTORY = ("history_unavailable", "history_partial", "history_corrupt",
                    "out_of_time")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One feature that was served otherwise than it is recomputed."""

    feature: str
    count: int
    transaction_id: str  # one of them
    served: float
    recomputed: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Which decisions are compared: how many, and of all such samples which."""

    count: int
    seed: int = 0


@dataclass(slots=True)
class Audit:
    """What was compared, what was not and why, and what differs."""

    compared: int = 0
    cells: int = 0
    inexact: int = 0  # cells that the decision itself flagged
    passed_over: dict[str, int] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)


def audit(
    archive: Archive,
    catalogue: Catalogue,
    *,
    lateness_ms: int,
    sample: Sample,
    progress: Progress = silent,
) -> Audit:
    """Compare a sample of the archived decisions with the offline engine.

    Each is recomputed from what the store had processed before it: late events and
    answers given without the store are counted where they were, and what came too
    late for the store is not. Only decisions of this catalogue's version that saw
    their whole history are compared, and of those the ones that these rates convert as
    they were: not what was decided before a rate of the past was changed.
    """
    steps = len(catalogue.plans) + 1
    begun: list[str] = []

    def told(what: str) -> None:
        begun.append(what)
        progress("recomputing", len(begun), steps)

    ledger = Ledger(archive, catalogue, lateness_ms=lateness_ms)
    with closing(ledger), readable(archive.directory):
        found = Audit(passed_over=_passed_over(ledger, catalogue))
        _sample(ledger, catalogue, sample)
        _neighbours(ledger, catalogue)
        rows = offline_features(
            ledger.con,
            catalogue,
            OfflineInput("audited", "labels", "events"),
            progress=told,
        )
        _compare(ledger, catalogue, rows.ids, rows.matrix, found)
        return found


def _comparable(catalogue: Catalogue) -> dict[str, str]:
    """Why a decision is passed over, and the condition for it."""
    lacking = ", ".join(f"'{code}'" for code in _WITHOUT_HISTORY)
    return {
        "other definitions": f"features_version <> '{catalogue.version}'",
        "other rates": "n IN (SELECT n FROM other_rates)",  # see `Ledger`
        "provisional": "provisional",
        "without history": "NOT provisional "
        f"AND list_has_any(degradations, [{lacking}])",
        "too late": "too_late",
        "forgotten": "decision IS NULL",
    }


def _passed_over(ledger: Ledger, catalogue: Catalogue) -> dict[str, int]:
    reasons = _comparable(catalogue)
    counts = ", ".join(f"count(*) FILTER ({where})" for where in reasons.values())
    (row,) = ledger.con.execute(f"SELECT {counts} FROM history").fetchall()  # noqa: S608
    return {why: n for why, n in zip(reasons, row, strict=True) if n}


def _sample(ledger: Ledger, catalogue: Catalogue, sample: Sample) -> None:
    unfit = " OR ".join(f"({where})" for where in _comparable(catalogue).values())
    ledger.con.execute(
        f"""CREATE OR REPLACE TABLE sampled AS SELECT * FROM history
        WHERE NOT ({unfit}) ORDER BY hash(id, {sample.seed}) LIMIT {sample.count}"""  # noqa: S608
    )


def _neighbours(ledger: Ledger, catalogue: Catalogue) -> None:
    """The sample with the whole history of each of its entities.

    What happened to a payment that came too late counts, the payment does not.
    """
    shared = " UNION ".join(
        f"""SELECT h.n FROM history h JOIN sampled s
        USING ({key_of(plan.fields)})
        WHERE ({plan.of_events} OR NOT h.too_late)
            AND {named(plan.fields)}"""  # noqa: S608 - our own fields
        for plan in catalogue.plans
    )
    ledger.con.execute(
        f"""CREATE OR REPLACE VIEW audited AS
        SELECT * EXCLUDE (processed_seq, n), n AS processed_seq
        FROM history WHERE n IN (SELECT n FROM sampled UNION {shared})"""  # noqa: S608
    )


def _compare(
    ledger: Ledger,
    catalogue: Catalogue,
    ids: NDArray[np.object_],
    matrix: Vectors,
    found: Audit,
) -> None:
    place = {id_: i for i, id_ in enumerate(ids)}
    served = ledger.con.execute(
        """SELECT s.id, d.features, s.inexact_features
        FROM sampled s JOIN decisions d USING (tenant, id) ORDER BY s.n"""
    ).fetchall()
    found.compared = len(served)
    if not served:
        return
    theirs = np.array([features for _, features, _ in served], np.float32)
    ours = matrix[[place[id_] for id_, _, _ in served]]
    differ = ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    for i, (_, _, inexact) in enumerate(served):
        flagged = [catalogue.names.index(name) for name in inexact]
        differ[i, flagged] = False
        found.inexact += len(flagged)
    found.cells = differ.size - found.inexact
    found.mismatches = [
        _mismatch(catalogue.names[j], differ[:, j], [row[0] for row in served],
                  theirs[:, j], ours[:, j])
        for j in np.flatnonzero(differ.any(axis=0))
    ]  # fmt: skip


def _mismatch(
    name: str, differ: Any, ids: Sequence[str], served: Any, recomputed: Any
) -> Mismatch:
    first = int(np.flatnonzero(differ)[0])
    return Mismatch(
        name,
        int(differ.sum()),
        ids[first],
        float(served[first]),
        float(recomputed[first]),
    )
