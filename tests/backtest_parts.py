"""Parts of the backtests' tests: decided payments as a source has them, and keys."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from scoring.backtest.judge import Judge
from scoring.backtest.side import Side
from scoring.core.decision.decision import Outcome
from scoring.core.policy.decide import Evidence
from scoring.core.transaction.transaction import Transaction
from scoring.history.rows import DECISIONS, TRANSACTION_FIELDS

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


def judged_rows(judge: Judge, side: Side) -> dict[str, tuple[tuple[int, int], Outcome]]:
    """By payment: the masks of hits and unknowns, and the outcome, of a side."""
    keys = ", ".join(side.keys)
    query = f"SELECT id, {keys} FROM ({judge.query()})"  # noqa: S608
    rows = judge.con.execute(query).fetchall()
    return {
        id_: (side.read(tuple(key))[:2], side.decided(tuple(key))[0])
        for id_, *key in rows
    }
