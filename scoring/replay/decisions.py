"""The decisions file of a replay: one row a decided transaction, with its truth."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from scoring import wire
from scoring.core.decision.decision import DegradationCode
from scoring.errors import BadArtifact
from scoring.tables.admission import Row
from scoring.v1 import decision_pb2

# What a table program shows; the vector and the hashes stay in the Parquet file.
_CSV_COLUMNS = """id, strftime(make_timestamp(occurred_at_ms * 1000),
        '%Y-%m-%dT%H:%M:%S.%gZ') AS occurred_at,
    amount_minor, currency, card, customer, merchant, outcome, score,
    array_to_string(list_transform(rules, lambda r: r.rule || CASE
        WHEN r.unknown THEN ' (unknown)' WHEN r.mode = 'shadow' THEN ' (shadow)'
        ELSE '' END), '|') AS rules,
    array_to_string(reasons, '|') AS reasons,
    array_to_string(degradations, '|') AS degradations,
    fraud, policy_version, model_version, rates_version, let_through"""


def decision_values(row: Row, decision: decision_pb2.Decision) -> dict[str, Any]:
    """One row of the file, by column."""
    core, trace, transaction = decision.core, decision.trace, row.transaction
    look = decision_pb2.SecondLook.Name(core.second_look)
    return {
        "id": transaction.id,
        "occurred_at_ms": transaction.occurred_at_ms,
        "amount_minor": transaction.amount_minor,
        "currency": transaction.currency,
        "card": transaction.card,
        "customer": transaction.customer or transaction.card,
        "merchant": transaction.merchant,
        "outcome": decision_pb2.Outcome.Name(core.outcome).removeprefix("OUTCOME_"),
        "score": core.score if core.HasField("score") else None,
        "margin": core.margin if core.HasField("margin") else None,
        "reasons": [reason.code for reason in core.reasons],
        "rules": [_hit(hit) for hit in core.rule_hits],
        "degraded": bool(core.degradations),
        "degradations": degradations_of(core),
        "second_look": look.removeprefix("SECOND_LOOK_"),
        "core_sha256": sha256(core.SerializeToString(deterministic=True)).digest(),
        "processed_seq": trace.processed_seq,
        "decided_at_ms": wire.ms_from_timestamp(trace.decided_at),
        "features": list(core.features),
        "inexact_features": list(core.inexact_features),
        "fraud": row.fraud,
        "known_at_ms": row.known_at_ms,
        "model_version": core.versions.model,
        "policy_version": core.versions.policy,
        "rates_version": core.versions.rates,
        "let_through": core.let_through if core.HasField("let_through") else None,
        "features_version": core.versions.features,
        "transaction": wire.transaction_to_proto(transaction).SerializeToString(),
    }


def _hit(hit: decision_pb2.RuleHit) -> dict[str, Any]:
    return {
        "rule": hit.rule,
        "outcome": decision_pb2.Outcome.Name(hit.outcome).removeprefix("OUTCOME_"),
        "mode": decision_pb2.RuleMode.Name(hit.mode).removeprefix("RULE_MODE_").lower(),
        "unknown": hit.unknown,
    }


def degradations_of(core: decision_pb2.DecisionCore) -> list[str]:
    """What was missing, each code once, as the archive names them.

    >>> code = decision_pb2.DEGRADATION_CODE_TOO_LATE
    >>> late = decision_pb2.Degradation(code=code)
    >>> degradations_of(decision_pb2.DecisionCore(degradations=[late, late]))
    ['too_late']
    """
    codes = (DegradationCode(missing.code) for missing in core.degradations)
    return list(dict.fromkeys(code.name.lower() for code in codes))


def decisions_schema() -> Any:
    """Columns of the decisions file."""
    import pyarrow as pa

    hit = {
        "rule": pa.string(),
        "outcome": pa.string(),
        "mode": pa.string(),
        "unknown": pa.bool_(),
    }
    return pa.schema(
        [
            ("id", pa.string()),
            ("occurred_at_ms", pa.int64()),
            ("amount_minor", pa.int64()),
            ("currency", pa.string()),
            ("card", pa.string()),
            ("customer", pa.string()),
            ("merchant", pa.string()),
            ("outcome", pa.string()),
            ("score", pa.float64()),
            ("margin", pa.float32()),
            ("reasons", pa.list_(pa.string())),
            ("rules", pa.list_(pa.struct(list(hit.items())))),
            ("degraded", pa.bool_()),
            ("degradations", pa.list_(pa.string())),
            ("second_look", pa.string()),
            ("core_sha256", pa.binary(32)),
            ("processed_seq", pa.uint64()),
            ("decided_at_ms", pa.int64()),
            ("features", pa.list_(pa.float32())),
            ("inexact_features", pa.list_(pa.string())),
            ("fraud", pa.bool_()),
            ("known_at_ms", pa.int64()),
            ("model_version", pa.string()),
            ("policy_version", pa.string()),
            ("rates_version", pa.string()),
            ("let_through", pa.float64()),  # its probability; null: not of the sample
            ("features_version", pa.string()),
            ("transaction", pa.binary()),  # protobuf, for another policy to decide
        ]
    )


def view(con: Any, name: str, path: Path) -> None:
    """Make a view of a decisions file; what an earlier release did not write is NULL.

    Raises `BadArtifact` where it is none.
    """
    import duckdb

    if not path.is_file():
        raise BadArtifact(f"{path}: there is no such file")
    con.register(f"no_{name}", decisions_schema().empty_table())
    file = str(path).replace("'", "''")
    try:
        con.execute(
            f"""CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM no_{name}
            UNION ALL BY NAME SELECT * FROM read_parquet('{file}')"""  # noqa: S608
        )
        con.execute(f"SELECT id, core_sha256 FROM read_parquet('{file}') LIMIT 0")  # noqa: S608
    except duckdb.Error as error:
        raise BadArtifact(
            f"{path}: is no decisions file of `scoring replay` (Parquet)"
        ) from error


def write_csv(path: Path, out: Path) -> None:
    """Write a decisions file as CSV, without vectors: the columns a person reads."""
    from scoring.training.sql import connect

    with connect() as con:
        view(con, "decisions", path)
        file = str(out).replace("'", "''")
        con.execute(f"COPY (SELECT {_CSV_COLUMNS} FROM decisions) TO '{file}' (HEADER)")  # noqa: S608
