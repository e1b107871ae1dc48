"""A month of a small town, decided offline and kept as `scoring archive` keeps them.

What backtests, reports and thresholds of the demo are worked out of: the same model and
policy, payments of a world of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from scoring import wire
from scoring.core.decision.decision import Door, Versions
from scoring.core.features.catalogue import Catalogue
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import Policy
from scoring.core.transaction.transaction import (
    DEFAULT_TENANT,
    Transaction,
    payload_hash,
)
from scoring.history.archive import Archive, Incarnation
from scoring.history.rows import Row, decision_row
from scoring.models.onnx_model import OnnxModel, load_model
from scoring.ports.check import Check
from scoring.training.offline.engine import OfflineInput, offline_features
from scoring.training.simulation.simulate import TRUTH_COLUMNS, World, simulate
from scoring.training.sql import connect

DAYS = 32
_DAY_MS = 86_400_000
_LABEL_DELAY_MS = 3 * _DAY_MS
_MADE_FOR = "made-for"  # beside the archive's files: model and policy


@dataclass(frozen=True, slots=True)
class _Record:
    """A record of the decisions topic, had there been one."""

    value: bytes
    offset: int
    partition: int = 0
    headers: tuple[()] = ()


def ensure_past(
    directory: Path, model_dir: Path, catalogue: Catalogue, policy: Policy
) -> Path:
    """Return `directory` with that archive in it, made anew for another model, policy
    or another month; seconds.
    """
    model = load_model(model_dir, catalogue=catalogue)
    end_ms = time.time_ns() // 1_000_000 // _DAY_MS * _DAY_MS
    made_for = f"{model.version} {policy.version} {time.strftime('%Y-%m')}"
    noted = directory / _MADE_FOR
    if not (noted.exists() and noted.read_text() == made_for):
        rmtree(directory, ignore_errors=True)
        _make(Archive(directory), end_ms, model, catalogue, policy)
        noted.write_text(made_for)
    return directory


def _make(
    archive: Archive,
    end_ms: int,
    model: OnnxModel,
    catalogue: Catalogue,
    policy: Policy,
) -> None:
    import pyarrow.compute as pc

    archive.prepare()
    table = simulate(
        World(
            seed=11,
            days=DAYS,
            customers=80,
            terminals=1_600,
            radius=20.0,
            start_ms=end_ms - DAYS * _DAY_MS,
            terminals_compromised_per_day=1,
            customers_compromised_per_day=0,
            card_testing_per_day=0.1,
            takeovers_per_day=0.1,
            id_prefix="past",
        )
    )
    table = table.filter(pc.less(table["occurred_at_ms"], end_ms))  # no attack to come
    ids, matrix = _features(table, catalogue)
    scores = model.predict(matrix)
    versions = Versions(model.version, policy.version, catalogue.version)
    by_id = {row["id"]: row for row in table.to_pylist()}
    decisions, labels = [], []
    for i, id_ in enumerate(ids):
        fraud = by_id[id_]["fraud"]
        payment = _payment(by_id[id_])
        seen = Evidence(
            vector=matrix[i],
            margin=float(scores.margin[i]),
            probability=float(scores.probability[i]),
            contributions=scores.contributions[i],
            reason_groups=model.reason_groups,
            versions=versions,
        )
        decisions.append(_decided(payment, seen, policy, i))
        if payment.occurred_at_ms + _LABEL_DELAY_MS < end_ms:
            labels.append(_label(payment, fraud, i))
    _keep(archive, "decisions", decisions)
    _keep(archive, "labels", labels)


def _keep(archive: Archive, kind: str, rows: list[Row]) -> None:
    archive.take(kind, 0, rows, (0, len(rows)))
    # The offsets of a topic begin behind these, which were never in one.
    archive.begin(kind, Incarnation(base=archive.offsets(kind)))


def _features(table: Any, catalogue: Catalogue) -> tuple[Any, Any]:
    """The ids in event order, and each one's features as of its own time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = pa.table(
        {
            "transaction_id": table["id"],
            "version": pa.array([1] * len(table), type=pa.int32()),
            "fraud": table["fraud"],
            "known_at_ms": pc.add(table["occurred_at_ms"], _LABEL_DELAY_MS),
        }
    )
    with connect() as con:
        con.register("transactions", table)
        con.register("labels", labels)
        found = offline_features(con, catalogue, OfflineInput("transactions", "labels"))
    return found.ids, found.matrix


def _payment(row: dict[str, Any]) -> Transaction:
    told = {name: value for name, value in row.items() if name not in TRUTH_COLUMNS}
    return Transaction(DEFAULT_TENANT, **told)


def _decided(payment: Transaction, seen: Evidence, policy: Policy, i: int) -> Row:
    hashed = payload_hash(payment)
    at_ms = payment.occurred_at_ms
    check = Check(
        transaction=payment, payload_hash=hashed, received_at_ms=at_ms, door=Door.GRPC
    )
    core = decide(payment, hashed, policy=policy, evidence=seen)
    trace = wire.trace_to_bytes(
        check, decided_at_ms=at_ms, stages_us={}, batch_size=1, processed_seq=i + 1
    )
    decision = wire.decision_to_bytes(wire.core_to_bytes(core), trace)
    return decision_row(_Record(wire.logged_to_bytes(decision, check), i))


def _label(payment: Transaction, fraud: bool, i: int) -> Row:  # noqa: FBT001 a value
    known_at_ms = payment.occurred_at_ms + _LABEL_DELAY_MS
    return {
        "tenant": payment.tenant,
        "transaction_id": payment.id,
        "version": 1,
        "verdict": "fraud" if fraud else "legitimate",
        "fraud": fraud,
        "known_at_ms": known_at_ms,
        "source": "customer",
        "received_at_ms": known_at_ms,
        "log_partition": 0,
        "log_offset": i,
    }
