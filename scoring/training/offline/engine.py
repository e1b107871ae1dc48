"""The offline engine: every slot of a whole table, by DuckDB, from the definitions.

    rows = offline_features(con, catalogue, OfflineInput("transactions", "labels"))
    rows.ids, rows.matrix      # (n,) and (n, len(catalogue.names)) float32

The transactions view has the field names of `Transaction` (tenant, id,
occurred_at_ms, amount_minor, currency, card … latitude, longitude); what it lacks
counts as "not known", only id, occurred_at_ms, amount_minor and currency are
required, and `outcome` (approve, challenge, review, decline) where a statistic counts
by outcome. What the caller names himself is in `attributes`, a map or JSON, or
each in a column of its own, "attributes.plan". An optional `processed_seq` reproduces
the order in which a live store processed the rows, and the order of those of one
instant; without it, event order is used, and the hash of the id breaks ties. An
optional `too_late` says which rows are read and never counted. The labels view has
transaction_id, version, fraud (NULL: withdrawn), known_at_ms and optionally tenant. The
events view, where statistics count lifecycle events, has transaction_id, event_id, kind
(authorised, refunded …), occurred_at_ms and optionally known_at_ms, amount_minor,
issuer_code, three_ds_result and tenant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.features.catalogue import Catalogue, EntityPlan
from scoring.core.features.derivation import Reals
from scoring.core.features.expression import OUTCOME, parse
from scoring.core.features.readable import measured_sql
from scoring.core.features.vector import DerivationColumns, Matrix, derive
from scoring.errors import BadArtifact
from scoring.training.offline import folds as offline_folds
from scoring.training.offline import lifecycle as offline_lifecycle
from scoring.training.offline import order as offline_order
from scoring.training.offline.rates import with_amounts
from scoring.training.offline.sql import (
    columns_of_transaction,
    events_sql,
    hash_sql,
    is_windowed,
    slot_sql,
)
from scoring.training.sql import columns_of

Connection = Any  # duckdb.DuckDBPyConnection, which carries no types
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class OfflineFeatures:
    """All rows of the view in event order; see this module for ties.

    `ids` (n,) and `occurred_at_ms` (n,) name the rows; `stored` (n, stored) float64
    is what `Observation.values` would hold; `matrix` (n, names) float32 is what
    `vectorise` would give.
    """

    ids: NDArray[np.object_]
    occurred_at_ms: NDArray[np.int64]
    stored: Reals
    matrix: Matrix


@dataclass(frozen=True, slots=True)
class OfflineInput:
    """Names of the views that features are computed from; see this module for them.

    `lateness_ms` matters only with `processed_seq`: what arrived later than that
    behind its entities' newest event is read, never counted.
    """

    transactions: str
    labels: str | None = None
    events: str | None = None
    lateness_ms: int | None = None


def offline_features(
    con: Connection,
    catalogue: Catalogue,
    views: OfflineInput,
    *,
    progress: Progress = lambda _: None,
) -> OfflineFeatures:
    """Compute every feature of every row.

    `progress` gets each entity as it is begun. Temporary tables named offline_* are
    made in `con`.
    """
    _prepare(con, catalogue, views.transactions, views.labels)
    offline_lifecycle.prepare(con, catalogue, views.events)
    if views.lateness_ms is not None:
        offline_order.mark_too_late(con, catalogue, views.lateness_ms)
    rows = con.sql(
        "SELECT id, occurred_at_ms FROM offline_rows ORDER BY r"
    ).fetchnumpy()
    n = len(rows["id"])
    stored = np.full((n, catalogue.stored_count), nan)
    for plan in catalogue.plans:
        progress(plan.name)
        if plan.of_events:
            offline_lifecycle.fill(con, plan, stored)
            continue
        _fill(con, catalogue, plan, stored)
        offline_order.correct(con, catalogue, plan, stored)
    progress("vector")
    matrix = _vector(con, catalogue, stored)
    return OfflineFeatures(rows["id"], rows["occurred_at_ms"], stored, matrix)


def _prepare(
    con: Connection, catalogue: Catalogue, transactions: str, labels: str | None
) -> None:
    present = columns_of(con, transactions)
    if OUTCOME not in present and any(plan.by_outcome for plan in catalogue.plans):
        raise BadArtifact(
            f"{transactions}: the definitions count by outcome: add a column "
            "`outcome`, or map one, as in columns: {outcome: status}"
        )
    known = "processed_seq" in present and offline_order.is_known(con, transactions)
    order = "processed_seq, tie_hash" if known else "tie_hash"
    columns = columns_of_transaction(present, catalogue.keyed)
    too_late = "" if "too_late" in present else "false AS "
    whole = f"""(SELECT {columns}, sha256(id) AS tie_hash, {too_late}too_late
        FROM {transactions})"""  # noqa: S608 - the caller's own view
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE offline_rows AS
        SELECT row_number() OVER (ORDER BY occurred_at_ms, {order}) - 1 AS r,
            * FROM {with_amounts(con, catalogue, whole)}"""  # noqa: S608
    )
    told = columns_of(con, labels) if labels else {}
    source = labels or (
        "(SELECT '' AS transaction_id, 0 AS version, NULL::BOOLEAN AS fraud, "
        "0::BIGINT AS known_at_ms WHERE false)"
    )
    tenant = "tenant" if "tenant" in told else "'' AS tenant"
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE offline_labels AS
        SELECT {tenant}, transaction_id, version, fraud, known_at_ms
        FROM {source}"""  # noqa: S608 - the caller's own view
    )


def _fill(
    con: Connection, catalogue: Catalogue, plan: EntityPlan, stored: Reals
) -> None:
    con.execute(
        "CREATE OR REPLACE TEMP TABLE offline_events AS " + events_sql(catalogue, plan)
    )
    windowed = [i for i, slot in enumerate(plan.slots) if is_windowed(slot)]
    chosen = "".join(
        f", ({slot_sql(catalogue, plan, plan.slots[i])})::DOUBLE AS s{i}"
        for i in windowed
    )
    found = con.sql(
        f"SELECT r{chosen} FROM offline_events "  # noqa: S608 - compiled above
        "WINDOW ordered AS (PARTITION BY entity ORDER BY k)"
    ).fetchnumpy()
    for i in windowed:
        values = np.ma.filled(found[f"s{i}"], nan)
        stored[found["r"], plan.first_slot + i] = values
    offline_folds.fill(con, catalogue, plan, stored)


def _vector(con: Connection, catalogue: Catalogue, stored: Reals) -> Matrix:
    plain = [f for f in catalogue.features.values() if f.derive == "value"]
    own = sorted({f.of for f in catalogue.features.values() if f.derive == "changed"})
    chosen = [
        f"({parse(f.expression).sql})::DOUBLE AS v{i}" for i, f in enumerate(plain)
    ]
    chosen += [f"{hash_sql(name)}::DOUBLE AS own_{i}" for i, name in enumerate(own)]
    places = {name: f"own_{i}" for i, name in enumerate(own)}
    places |= {name: f"own_{name}" for name in ("latitude", "longitude")}
    measures = sorted({f.measure for f in catalogue.features.values()})
    chosen += [
        f"({measured_sql(name)})::DOUBLE AS measured_{i}"
        for i, name in enumerate(measures)
    ]
    listed = "".join(f", {sql}" for sql in chosen)
    found = con.sql(
        "SELECT occurred_at_ms::DOUBLE AS at_ms, "  # noqa: S608
        f"latitude::DOUBLE AS own_latitude, longitude::DOUBLE AS own_longitude{listed} "
        "FROM offline_rows ORDER BY r"
    ).fetchnumpy()
    columns: dict[str, Reals] = {
        name: np.ma.filled(np.ma.asarray(values, dtype=np.float64), nan)
        for name, values in found.items()
    }
    table = DerivationColumns(
        stored,
        columns["at_ms"],
        lambda name: columns[f"measured_{measures.index(name)}"],
        lambda name: columns[places[name]],
        catalogue.horizon_ms,
    )
    matrix = derive(catalogue, table)
    for i, feature in enumerate(plain):
        matrix[:, catalogue.names.index(feature.name)] = columns[f"v{i}"]
    return matrix
