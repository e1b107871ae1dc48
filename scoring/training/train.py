"""From a table of transactions to a bundle; and the model of the demo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.catalogue import Catalogue
from scoring.core.model.bundle import (
    MANIFEST_FILE,
    Manifest,
    check_files,
    manifest_from_json,
)
from scoring.core.transaction.transaction import Channel
from scoring.errors import BadArtifact
from scoring.training.build import Recipe, train_on
from scoring.training.dataset import AMOUNT_UNKNOWN, DAY_MS, Dataset
from scoring.training.fit import Boosting
from scoring.training.offline.engine import (
    OfflineFeatures,
    OfflineInput,
    offline_features,
)
from scoring.training.progress import Report, silent
from scoring.training.simulation.simulate import World, simulate
from scoring.training.sql import connect

_PAYERS = ("customer", "card", "payer_account")  # who pays: the first that is known
_REQUIRED = ("id", "occurred_at_ms", "amount_minor", "currency", "fraud")
# The demo plays a small town; its model learns from a larger one like it.
DEMO_LABEL_DELAY_MS = 3 * DAY_MS
DEMO_WORLD = World(
    seed=1_000_003,
    days=40,
    customers=1_300,
    terminals=2_600,
    radius=9.0,
    terminals_compromised_per_day=1,
    customers_compromised_per_day=2,
    card_testing_per_day=1.5,
    takeovers_per_day=3.0,
)
DEMO_RECIPE = Recipe(
    boosting=Boosting(rounds=120, rate=0.1, depth_max=5, bins_max=512),
    label_delay_ms=DEMO_LABEL_DELAY_MS,
)


def train_bundle(
    table: Any,
    catalogue: Catalogue,
    out: Path,
    *,
    recipe: Recipe | None = None,
    report: Report = silent,
) -> Manifest:
    """Train on a pyarrow table of our fields and write the bundle to `out`.

    The table has the columns of a Transaction and `fraud`; a fraud is known
    `recipe.label_delay_ms` after it occurred, for features as for fitting, or for
    features at `known_at_ms` where the table has it. Raises `BadArtifact` naming the
    column that is missing or wrong.
    """
    recipe = recipe or Recipe()
    dataset = dataset_of(
        table, catalogue, label_delay_ms=recipe.label_delay_ms, report=report
    )
    return train_on(dataset, out, catalogue=catalogue, recipe=recipe, report=report)


def dataset_of(
    table: Any,
    catalogue: Catalogue,
    *,
    label_delay_ms: int,
    report: Report = silent,
    events: Any = None,
) -> Dataset:
    """Compute each labelled row's features as of its own time, in event order.

    `events` are lifecycle events of the rows, where statistics count them.

    Rows whose `fraud` is null count in the history of the others.
    """
    missing = [name for name in _REQUIRED if name not in table.column_names]
    if missing:
        raise BadArtifact(
            f"table: lacks the column {missing[0]}; name it in the column mapping"
        )
    if not set(_PAYERS) & set(table.column_names):
        raise BadArtifact(
            "table: lacks both customer and card; name one in the column mapping, "
            "or payer_account"
        )
    _refuse_early_labels(table, label_delay_ms)
    labels = _labels(table, label_delay_ms)
    features = _features(catalogue, table, labels, events, report)
    table = table.take(_positions(table["id"], features.ids))
    known = table["fraud"].is_valid().to_numpy()
    table = table.filter(known)  # the others are history, of which nothing is learned
    return Dataset(
        names=catalogue.names,
        matrix=features.matrix[known],
        fraud=_fraud(table),
        occurred_at_ms=features.occurred_at_ms[known],
        customers=_customers(table),
        amount_minor=table["amount_minor"].fill_null(AMOUNT_UNKNOWN).to_numpy(),
        segments=_segments(table),
        weights=_weights(table),
    )


def _features(
    catalogue: Catalogue, table: Any, labels: Any, events: Any, report: Report
) -> OfflineFeatures:
    """Every row's features."""
    done = 0

    def told(_entity: str) -> None:
        nonlocal done
        report("features", done / (len(catalogue.plans) + 1))
        done += 1

    with connect() as con:
        con.register("transactions", table)
        con.register("labels", labels)
        views = OfflineInput("transactions", "labels")
        if events is not None:
            con.register("events", events)
            views = replace(views, events="events")
        features = offline_features(con, catalogue, views, progress=told)
    report("features", 1.0)
    return features


def _labels(table: Any, delay_ms: int) -> Any:
    """What becomes known of each row that has a label, and when."""
    import pyarrow as pa

    table = table.filter(table["fraud"].is_valid())
    count = table.num_rows
    if "known_at_ms" in table.column_names:
        known_at = table["known_at_ms"].to_numpy()
    else:
        known_at = table["occurred_at_ms"].to_numpy() + delay_ms
    return pa.table(
        {
            "transaction_id": table["id"],
            "version": pa.array(np.ones(count, dtype=np.int32)),
            "fraud": pa.array(_fraud(table)),
            "known_at_ms": pa.array(known_at),
        }
    )


def _refuse_early_labels(table: Any, delay_ms: int) -> None:
    """Raise `BadArtifact` for labels known before their payment, or after the delay
    that the split by time counts on.
    """
    if "known_at_ms" not in table.column_names:
        return
    if table["known_at_ms"].null_count:
        raise BadArtifact("table: known_at_ms is null in some rows; fill it in")
    took_ms = table["known_at_ms"].to_numpy() - table["occurred_at_ms"].to_numpy()
    if (took_ms < 0).any():
        raise BadArtifact(
            f"table: known_at_ms lies before occurred_at_ms in {(took_ms < 0).sum()} "
            "rows; a label cannot be known before its payment"
        )
    if (took_ms > delay_ms).any():
        raise BadArtifact(
            f"table: known_at_ms lies up to {took_ms.max() / DAY_MS:.1f} days after "
            "occurred_at_ms; raise --label-delay-days to that"
        )


def _positions(ids: Any, wanted: NDArray[np.object_]) -> Any:
    """Where the wanted ids are; raises `BadArtifact` if one occurs twice."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.count_distinct(ids).as_py() != len(ids):
        raise BadArtifact("table: an id occurs twice; every transaction needs its own")
    return pc.index_in(pa.array(wanted, type=pa.string()), value_set=ids)


def _weights(table: Any) -> NDArray[np.float64] | None:
    """How many payments each row counts for; None where the table has no sample."""
    if "let_through" not in table.column_names:
        return None
    chance = table["let_through"]
    if chance.null_count == len(chance):
        return None
    return np.asarray(1.0 / chance.fill_null(1.0).to_numpy())


def _fraud(table: Any) -> NDArray[np.bool_]:
    return np.asarray(table["fraud"].to_numpy(zero_copy_only=False)).astype(bool)


def _customers(table: Any) -> NDArray[np.int64]:
    """Numbers for customers, or for cards or accounts where they are not known."""
    name = next(name for name in _PAYERS if name in table.column_names)
    codes = table[name].combine_chunks().dictionary_encode().indices
    return np.asarray(codes.to_numpy(zero_copy_only=False)).astype(np.int64)


def _segments(table: Any) -> NDArray[np.str_] | None:
    """Each row's channel by its name; None where the table has no such column."""
    if "channel" not in table.column_names:
        return None
    names = np.array([channel.name.lower() for channel in Channel])
    return np.asarray(names[table["channel"].fill_null(0).to_numpy()])


def ensure_demo_model(
    directory: Path, catalogue: Catalogue, report: Report = silent
) -> Path:
    """Return `directory` with a bundle for this catalogue in it, training one on a
    simulated world where there is none, or one for other definitions; seconds.
    """
    if _present_version(directory) != catalogue.version:
        table = simulate(DEMO_WORLD, report=report)
        train_bundle(table, catalogue, directory, recipe=DEMO_RECIPE, report=report)
    return directory


def _present_version(directory: Path) -> str:
    """The feature definitions of a whole bundle; empty where there is none."""
    path = directory / MANIFEST_FILE
    try:
        manifest = manifest_from_json(path.read_text(), name=str(path))
        contents = {name: (directory / name).read_bytes() for name in manifest.files}
        check_files(manifest, contents, name=str(directory))
    except (OSError, BadArtifact):
        return ""
    return manifest.features_version
