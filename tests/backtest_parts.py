"""Parts of the backtests' tests: decided payments as a source has them, and keys."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from scoring.backtest.side import Side
from scoring.backtest.trial import Trial
from scoring.core.decision.decision import Outcome
from scoring.core.features.catalogue import Catalogue
from scoring.core.policy.decide import Evidence
from scoring.core.transaction.transaction import Channel, Transaction
from scoring.history.archive import Archive
from scoring.history.rows import DECISIONS, TRANSACTION_FIELDS, Row

PAID = pa.schema(
    [
        *(DECISIONS.field(name) for name in TRANSACTION_FIELDS),
        *(DECISIONS.field(n) for n in ("score", "degradations", "features")),
        DECISIONS.field("policy_version"),
        pa.field("recorded", pa.int32()),
        pa.field("told_fraud", pa.bool_()),
        pa.field("told_source", pa.string()),
        pa.field("refunded", pa.bool_()),
        pa.field("accepted", pa.bool_()),
        pa.field("never_paid", pa.bool_()),
        pa.field("let_through", pa.float64()),
        pa.field("unfit", pa.string()),
    ]
)
NOTHING_TOLD = {"refunded": False, "accepted": False, "never_paid": False}


def paid_table(rows: Sequence[tuple[Transaction, Evidence]]) -> pa.Table:
    """What a source's view `paid` would have of these."""
    return pa.Table.from_pylist(
        [
            {name: getattr(t, name) for name in TRANSACTION_FIELDS}
            | {
                "score": seen.probability,
                "degradations": [d.code.name.lower() for d in seen.degradations],
                "features": [] if seen.vector is None else seen.vector.tolist(),
                "policy_version": "",
                "recorded": 0,
            }
            | NOTHING_TOLD
            for t, seen in rows
        ],
        schema=PAID,
    )


def judged_rows(trial: Trial, side: Side) -> dict[str, tuple[tuple[int, int], Outcome]]:
    """By payment: the masks of hits and unknowns, and the outcome, of a side."""
    keys = ", ".join(side.keys)
    query = f"SELECT id, {keys} FROM ({trial.query()})"  # noqa: S608
    rows = trial.con.execute(query).fetchall()
    return {
        id_: (side.read(tuple(key))[:2], side.decided(tuple(key))[0])
        for id_, *key in rows
    }


DAY_MS = 86_400_000
FIRST_MS = 1_767_225_600_000  # 2026-01-01
LEDGER = Path(__file__).parent / "unit" / "backtest" / "ledger.csv"


def ledger() -> list[dict[str, str]]:
    """200 payments, worked out by hand: `truth`, `old` and `new` are the figures."""
    with LEDGER.open(newline="") as file:
        return list(csv.DictReader(file))


def ledger_archive(directory: Path, catalogue: Catalogue) -> Archive:
    """The ledger as `scoring archive` would keep it."""
    archive = Archive(directory)
    archive.prepare()
    rows = ledger()
    decisions = [
        _decision(row, i, catalogue) | {"log_offset": i * 10 + copy}
        for i, row in enumerate(rows)
        for copy in range(int(row["copies"]))
    ]
    archive.take("decisions", 0, decisions, (0, len(rows) * 10))
    archive.take("labels", 0, [*_labels(rows)], (0, len(rows)))
    archive.take("events", 0, [*_events(rows)], (0, len(rows)))
    return archive


def _decision(row: dict[str, str], i: int, catalogue: Catalogue) -> Row:
    features = [float("nan")] * len(catalogue.names)
    if row["card_count_1h"]:
        place = catalogue.names.index("card_count_1h")
        features[place] = float(row["card_count_1h"])
    at_ms = FIRST_MS + int(row["day"]) * DAY_MS
    t = Transaction(
        "default",
        row["id"],
        occurred_at_ms=at_ms,
        amount_minor=int(row["amount_minor"]),
        currency=row["currency"],
        customer=row["customer"],
        channel=Channel[row["channel"]],
        card_country=row["card_country"],
        merchant_country=row["merchant_country"],
    )
    return recorded(t, i, catalogue) | {
        "outcome": row["recorded"],
        "score": float(row["score"]) if row["score"] else None,
        "degradations": [row["degradation"]] if row["degradation"] else [],
        "features_version": (
            catalogue.version if row["definitions"] == "same" else "another"
        ),
        "features": features,
    }


def recorded(t: Transaction, i: int, catalogue: Catalogue, **more: object) -> Row:
    """An approved payment as the archive has it; `more` are columns that differ."""
    return {name: getattr(t, name) for name in TRANSACTION_FIELDS} | {
        "payload_hash": b"hash",
        "received_at_ms": t.occurred_at_ms,
        "decided_at_ms": t.occurred_at_ms,
        "processed_seq": i + 1,
        "door": "grpc",
        "outcome": "approve",
        "score": 0.01,
        "provisional": False,
        "degradations": [],
        "features_version": catalogue.version,
        "features": [float("nan")] * len(catalogue.names),
        "decision": b"decision",
        "log_partition": 0,
        "log_offset": i,
        **more,
    }


def labelled(id_: str, i: int, at_ms: int, **more: object) -> Row:
    """A chargeback as the archive has it; `more` are columns that differ."""
    return {
        "tenant": "default",
        "transaction_id": id_,
        "version": 1,
        "verdict": "fraud",
        "fraud": True,
        "known_at_ms": at_ms,
        "source": "chargeback",
        "log_partition": 0,
        "log_offset": i,
        **more,
    }


def _labels(rows: list[dict[str, str]]) -> Iterator[Row]:
    frauds = {"fraud": True, "legitimate": False, "withdrawn": None}
    for i, row in enumerate(rows):
        if row["verdict"]:
            label = {
                "tenant": "default",
                "transaction_id": row["id"],
                "version": 2,
                "verdict": row["verdict"],
                "fraud": frauds[row["verdict"]],
                "known_at_ms": FIRST_MS + int(row["label_day"]) * DAY_MS,
                "source": row["source"],
                "log_partition": 0,
                "log_offset": i * 2,
            }
            yield label
            # An earlier version said the opposite, and no longer counts.
            fraud = row["verdict"] != "fraud"
            yield label | {"version": 1, "fraud": fraud, "log_offset": i * 2 + 1}


def _events(rows: list[dict[str, str]]) -> Iterator[Row]:
    for i, row in enumerate(rows):
        if row["event"]:
            at_ms = FIRST_MS + (int(row["day"]) + 1) * DAY_MS
            yield {
                "tenant": "default",
                "transaction_id": row["id"],
                "event_id": "e1",
                "kind": row["event"],
                "occurred_at_ms": at_ms,
                "known_at_ms": at_ms,
                "received_at_ms": at_ms,
                "log_partition": 0,
                "log_offset": i,
            }


LEDGER_POLICY = """
version: 1
name: ledger
thresholds:
  default: {{challenge: 0.1, review: 0.2, decline: 0.5}}
  segments: [{{where: {{channel: ATM}}, decline: 0.3}}]
limits:
  many: {{default: {many}}}
lists:
  trusted:
    field: customer
    then: approve
    reason_code: WHY
    entries: [{{token: vip}}]
rules:
  - id: many
    when: features.card_count_1h > limits.many
    then: decline
    reason_code: WHY
    on_missing: review
    missing_reason_code: WHY
    owner: strategy
{abroad}
fallbacks:
  - {{degradation: history_unavailable, then: challenge, reason_code: WHY}}
default: {{outcome: review, reason_code: WHY}}
reasons:
  WHY: Something was noticed about it.
  NO_RISK_FOUND: Nothing unusual was found.
"""
ABROAD = """
  - id: abroad
    when: transaction.card_country != transaction.merchant_country && score > 0.05
    then: challenge
    reason_code: WHY
"""
OLD_POLICY = LEDGER_POLICY.format(many=8, abroad="")
NEW_POLICY = LEDGER_POLICY.format(many=5, abroad=ABROAD)
