"""A table of lifecycle events beside a table of payments, and its mapping.

Without a mapping its columns have the names of the contract: transaction_id, event_id,
kind and occurred_at, and where they are known known_at, amount_minor, issuer_code,
three_ds_result and tenant. A mapping names others:

    columns: {transaction_id: order, event_id: auth_id, kind: status}
    kinds: {AUTHORISED: [ok], ISSUER_DECLINED: [do not honor, 51]}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from scoring.core import document
from scoring.core.document import several
from scoring.core.features.event_fields import event_names, three_ds_names
from scoring.core.transaction.lifecycle import LifecycleEvent, LifecycleKind
from scoring.core.transaction.payment_terms import ThreeDsStatus
from scoring.errors import BadArtifact
from scoring.training.sql import connect

_REQUIRED = ("transaction_id", "event_id", "kind", "occurred_at")
_OPTIONAL = ("known_at", "amount_minor", "issuer_code", "three_ds_result", "tenant")
_READERS = {".csv": "read_csv", ".json": "read_json", ".jsonl": "read_json"}
_INTEGERS = frozenset({"BIGINT", "INTEGER", "UBIGINT", "HUGEINT"})


class EventMapping(BaseModel):
    """Which column is which, and what the table calls each kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, str] = {}
    kinds: dict[str, tuple[str, ...] | str] = {}


def event_mapping(file: Path | None) -> EventMapping:
    """Read a mapping; raises `BadArtifact` naming what is wrong."""
    if file is None:
        return EventMapping()
    mapping = document.load(file.read_text("utf-8"), EventMapping, name=str(file))
    _refuse_others(file, "columns", mapping.columns, (*_REQUIRED, *_OPTIONAL))
    _refuse_others(file, "kinds", mapping.kinds, event_names())
    return mapping


def events_from(path: Path, mapping: EventMapping) -> Any:
    """The events as the offline engine takes them, a pyarrow table.

    Raises `BadArtifact` for a column that is missing and for what is no event, with the
    number of such rows: nothing is left out in silence.
    """
    reader = _READERS.get(path.suffix, "read_parquet")
    with connect() as con:
        con.execute(
            f"CREATE TABLE read AS SELECT * FROM {reader}(?)",  # noqa: S608 - one of ours
            [str(path)],
        )
        present = {
            name: type_ for name, type_, *_ in con.sql("DESCRIBE read").fetchall()
        }
        named = {n: mapping.columns.get(n, n) for n in (*_REQUIRED, *_OPTIONAL)}
        for name in _REQUIRED:
            if named[name] not in present:
                raise BadArtifact(
                    f"{path}: has no column {named[name]!r} for {name}; name it in "
                    "--events-mapping, as in columns: {" + name + ": its name}"
                )
        chosen = [
            f"{_sql(name, column, present[column], mapping)} AS {_as(name)}"
            for name, column in named.items()
            if column in present
        ]
        con.execute(f"CREATE TABLE told AS SELECT {', '.join(chosen)} FROM read")  # noqa: S608
        _refuse(con, path)
        return con.sql("SELECT * FROM told").to_arrow_table()


def events_by_payment(told: Any) -> dict[str, list[LifecycleEvent]]:
    """The events of a table, as `events_from` or an archive gives it, by payment.

    A tenant that it does not say is empty, any.
    """
    found: dict[str, list[LifecycleEvent]] = {}
    for batch in told.to_batches():
        for row in batch.to_pylist():
            found.setdefault(row["transaction_id"], []).append(event_from_row(row))
    return found


def event_from_row(row: Mapping[str, Any]) -> LifecycleEvent:
    """The event of a row of a table or of an archive, without its transaction."""
    result = row.get("three_ds_result")
    return LifecycleEvent(
        tenant=row.get("tenant") or "",
        transaction_id=row["transaction_id"],
        event_id=row["event_id"],
        kind=LifecycleKind[row["kind"].upper()],
        occurred_at_ms=row["occurred_at_ms"],
        amount_minor=row.get("amount_minor"),
        issuer_code=row.get("issuer_code") or "",
        three_ds_result=ThreeDsStatus[result.upper()] if result else 0,
        known_at_ms=row.get("known_at_ms") or 0,
    )


def _as(name: str) -> str:
    return f"{name}_ms" if name.endswith("_at") else name


def _sql(name: str, column: str, type_: str, mapping: EventMapping) -> str:
    quoted = '"' + column.replace('"', '""') + '"'
    if name.endswith("_at"):
        if type_ in _INTEGERS:
            return f"{quoted}::BIGINT"
        return f"epoch_ms({quoted}::TIMESTAMPTZ)"
    if name == "amount_minor":
        return f"{quoted}::BIGINT"
    text = f"coalesce(trim({quoted}::VARCHAR), '')"
    if name == "kind" and mapping.kinds:
        cases = [
            f"WHEN lower({text}) = '{_escaped(word.lower())}' THEN '{kind}'"
            for kind, words in mapping.kinds.items()
            for word in several(words)
        ]
        return f"CASE {' '.join(cases)} ELSE upper({text}) END"
    return f"upper({text})" if name in {"kind", "three_ds_result"} else text


def _escaped(text: str) -> str:
    return text.replace("'", "''")


def _refuse(con: Any, path: Path) -> None:
    kinds = ", ".join(f"'{name}'" for name in event_names())
    present = {name for name, *_ in con.sql("DESCRIBE told").fetchall()}
    wrong = {
        f"kind must be one of {', '.join(event_names())}": f"kind NOT IN ({kinds})",
        "transaction_id is required": "transaction_id = ''",
        "event_id is required": "event_id = ''",
        "occurred_at is required": "occurred_at_ms IS NULL",
    }
    if "known_at_ms" in present:
        wrong["known_at lies before it happened"] = "known_at_ms < occurred_at_ms"
    if "three_ds_result" in present:
        results = ", ".join(f"'{name}'" for name in ("", *three_ds_names()))
        told = f"three_ds_result must be one of {', '.join(three_ds_names())}"
        wrong[told] = f"three_ds_result NOT IN ({results})"
    for told, condition in wrong.items():
        ((count,),) = con.sql(f"SELECT count(*) FROM told WHERE {condition}").fetchall()  # noqa: S608
        if count:
            raise BadArtifact(f"{path}: {told}; {count:,} rows differ")


def _refuse_others(
    file: Path, where: str, given: Mapping[str, object], known: tuple[str, ...]
) -> None:
    for name in given:
        if name not in known:
            raise BadArtifact(
                f"{file}: {where}: unknown {name!r}; known: {', '.join(known)}"
            )
