"""The same rows scored offline: features by SQL, the same bundle, no service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from scoring.core.features.catalogue import Catalogue
from scoring.errors import BadArtifact
from scoring.ports.model import Model
from scoring.replay.decisions import view
from scoring.tables.table import Table
from scoring.training.sql import connect

_ROWS_PER_PREDICT = 8_192
_COMPARED = ["id", "score", "features", "inexact_features", "second_look"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTerms:
    """How the run was played.

    `label_delay_ms` is None where no labels were fed. `lateness_ms` is given where
    the rows are to be taken in the order in which the store processed them; else
    they are taken in event order. `events` are the lifecycle events that were fed, a
    table, as `Plan` has them.
    """

    label_delay_ms: int | None
    lateness_ms: int | None = None
    events: Any = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Decided online against scored offline, over the rows in both.

    `labels_late` counts the rows (only where labels or events were fed to an unordered
    run) that differ in what those tell: the run does not say when each was applied.
    `inexact` counts the rows that differ in what their decision states as inexact: the
    store merges the history of a busy entity. The scores of both are not compared.
    `unexplained` counts all other values that differ.
    """

    rows: int
    missing: int
    labels_late: int
    inexact: int
    unexplained: int
    score_difference_max: float
    features_differing: dict[str, int]


def agreement(
    table: Table,
    decisions: Path,
    *,
    catalogue: Catalogue,
    model: Model,
    terms: RunTerms,
) -> Agreement:
    """Score a table offline and compare with a decisions file of the same rows.

    Raises `BadArtifact` for what is no run, a run of another model, and one that does
    not say how it was processed.
    """
    from scoring.training.offline.engine import OfflineInput, offline_features

    rows = table.learned(label_delay_ms=terms.label_delay_ms or 0)
    with connect() as con:
        _refuse_another_model(con, decisions, model.version)
        con.register("table_rows", rows)
        _take_outcomes(con, decisions, rows.column_names)
        source = "played"
        if terms.lateness_ms is not None:
            source = _as_processed(con, decisions)
        _take_labels(con, fed=terms.label_delay_ms is not None)
        happened = _take_events(con, terms.events)
        found = offline_features(
            con,
            catalogue,
            OfflineInput(source, "labels", happened, terms.lateness_ms),
        )
    scores = np.concatenate(
        [
            model.predict(found.matrix[start : start + _ROWS_PER_PREDICT]).probability
            for start in range(0, len(found.matrix), _ROWS_PER_PREDICT)
        ]
    )
    offline = _Offline(
        {str(id_): i for i, id_ in enumerate(found.ids)}, found.matrix, scores, model
    )
    excused = _learned(catalogue, terms)
    compared = _compared(decisions, offline, excused, catalogue.names)
    return replace(compared, missing=len(rows) - compared.rows)


def _refuse_another_model(con: Any, decisions: Path, version: str) -> None:
    """Raises `BadArtifact` for decisions of another model, or what are none."""
    view(con, "run", decisions)
    others = con.sql(
        "SELECT DISTINCT model_version FROM run "
        "WHERE model_version NOT IN ('', $version)",
        params={"version": version},
    ).fetchall()
    if others:
        raise BadArtifact(
            f"{decisions.name}: was decided by model {others[0][0]}, and this is "
            f"{version}; name the run's by SCORING_MODEL_DIR or SCORING_MODEL_URL"
        )


def _take_outcomes(con: Any, decisions: Path, columns: list[str]) -> None:
    """Make the view of the rows, each with what the run decided, not the table."""
    import pyarrow.parquet as pq

    con.register("decided", pq.read_table(decisions, columns=["id", "outcome"]))
    own = ", ".join(f"t.{name}" for name in columns if name != "outcome")
    con.execute(
        f"CREATE TEMP VIEW played AS SELECT {own}, coalesce(d.outcome, '') AS outcome "  # noqa: S608 our own names
        "FROM table_rows t LEFT JOIN decided d USING (id)"
    )


def _take_labels(con: Any, *, fed: bool) -> None:
    """Make the view of what the rows' labels say, one version each."""
    con.execute(
        "CREATE TEMP VIEW labels AS SELECT tenant, id AS transaction_id, "  # noqa: S608
        "1::BIGINT AS version, fraud, known_at_ms FROM table_rows "
        f"WHERE fraud IS NOT NULL AND {fed}"
    )


def _take_events(con: Any, events: Any) -> str | None:
    """A view of the events as they were fed; see `known_with`."""
    if events is None:
        return None
    con.register("told", events)
    columns = events.column_names
    known = "known_at_ms" if "known_at_ms" in columns else "occurred_at_ms"
    of = " AND e.tenant IN ('', t.tenant)" if "tenant" in columns else ""
    others = ", ".join(f"e.{c}" for c in columns if c not in {"known_at_ms", "tenant"})
    con.execute(
        f"CREATE TEMP VIEW happened AS SELECT DISTINCT t.tenant, {others}, "  # noqa: S608 our own names
        f"greatest(e.occurred_at_ms, e.{known}, t.occurred_at_ms) AS known_at_ms "
        f"FROM told e JOIN table_rows t ON t.id = e.transaction_id{of}"
    )
    return "happened"


def _as_processed(con: Any, decisions: Path) -> str:
    """A view of the decided rows with the place of each in the processing order."""
    import pyarrow.parquet as pq

    con.register("found", pq.read_table(decisions, columns=["id", "processed_seq"]))
    con.execute(
        "CREATE TEMP VIEW processed AS SELECT played.*, "
        "found.processed_seq::BIGINT AS processed_seq "
        "FROM played JOIN found USING (id)"
    )
    ((unknown,),) = con.sql(
        "SELECT count(*) FILTER (processed_seq = 0) FROM processed"
    ).fetchall()
    if unknown:
        raise BadArtifact(
            f"{decisions.name}: {unknown} decisions do not say when they were "
            "processed: a store of several shards has no one order"
        )
    return "processed"


def _learned(catalogue: Catalogue, terms: RunTerms) -> Any:
    """The places of the features of follow-ups that were fed out of order."""
    unordered = terms.lateness_ms is not None
    labels = unordered and terms.label_delay_ms is not None
    events = unordered and terms.events is not None
    slots = [(plan, slot) for plan in catalogue.plans for slot in plan.slots]
    names = {
        name
        for (plan, slot), readers in zip(slots, catalogue.slot_features, strict=True)
        if (labels and slot.op.of_labels) or (events and plan.of_events)
        for name in readers
    }
    return np.flatnonzero([name in names for name in catalogue.names])


@dataclass(frozen=True, slots=True)
class _Offline:
    """Rows scored offline: where each id is, and what was found there.

    `scores` are of the first look; a second one is taken where it was recorded.
    """

    place: dict[str, int]
    matrix: Any
    scores: Any
    model: Model

    def scored(self, rows: Any, looks: list[str]) -> Any:
        """The scores of some rows, by the look that each decision rests on."""
        scores = self.scores[rows].astype(np.float64)
        taken = np.flatnonzero([look == "TAKEN" for look in looks])
        if len(taken) and self.model.deeper is None:
            scores[taken] = np.nan  # another model's decisions: differ, visibly
        elif len(taken) and self.model.deeper is not None:
            larger = self.model.deeper.model
            scores[taken] = larger.predict(self.matrix[rows[taken]]).probability
        return scores


def _stated(ours: dict[str, list[Any]], names: tuple[str, ...]) -> Any:
    """Which values, by row and feature, the decisions state as inexact."""
    place = {name: i for i, name in enumerate(names)}
    stated = np.zeros((len(ours["id"]), len(names)), dtype=bool)
    # A file of an earlier release does not say.
    for row, inexact in enumerate(ours.get("inexact_features") or []):
        stated[row, [place[name] for name in inexact or () if name in place]] = True
    return stated


def _compared(
    decisions: Path, offline: _Offline, excused: Any, names: tuple[str, ...]
) -> Agreement:
    import pyarrow.parquet as pq

    found, late, inexact, unexplained, difference = 0, 0, 0, 0, 0.0
    differing = np.zeros(len(names), dtype=np.int64)
    file = pq.ParquetFile(decisions)
    for batch in file.iter_batches(_ROWS_PER_PREDICT, columns=_COMPARED):
        ours = batch.to_pydict()
        rows = np.array([offline.place.get(id_, -1) for id_ in ours["id"]])
        known = rows >= 0
        found += int(known.sum())
        served = np.array(ours["features"], dtype=np.float32)[known]
        expected = offline.matrix[rows[known]]
        same = (served == expected) | (np.isnan(served) & np.isnan(expected))
        differing += (~same).sum(axis=0)
        rough = ~same & _stated(ours, names)[known]
        other = ~same & ~rough
        waits = other[:, excused].any(axis=1)
        late += int(waits.sum())
        inexact += int(rough.any(axis=1).sum())
        unexplained += int(other.sum() - other[:, excused].sum())
        waits |= rough.any(axis=1)
        online = np.array(ours["score"], dtype=np.float64)[known]
        # A missing score would compare as NaN and hide: it is a difference of one.
        # A file of before there were second looks says nothing of them.
        told = ours.get("second_look") or [""] * len(ours["id"])
        looks = list(compress(told, known))
        expected_scores = offline.scored(rows[known], looks)
        gaps = np.nan_to_num(np.abs(online - expected_scores), nan=1.0)
        difference = max(difference, float(gaps[~waits].max(initial=0)))
    return Agreement(
        rows=found,
        missing=0,
        labels_late=late,
        inexact=inexact,
        unexplained=unexplained,
        score_difference_max=difference,
        features_differing={
            n: int(c) for n, c in zip(names, differing, strict=True) if c
        },
    )
