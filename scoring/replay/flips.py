"""Which outcomes two policies, or two runs, decide otherwise: by rule and by amount."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from scoring import wire
from scoring.core.decision.decision import DecisionCore, Degradation, DegradationCode
from scoring.core.policy.dated_lists import NO_LISTS, DatedLists
from scoring.core.policy.decide import Evidence, decide
from scoring.core.policy.policy import Policy
from scoring.errors import BadArtifact
from scoring.replay.decisions import decisions_schema, view
from scoring.replay.sheet import Sheet, money, percent
from scoring.replay.slices import Slice, slices
from scoring.training.sql import connect
from scoring.v1 import transaction_pb2

_ROWS_PER_BATCH = 8_192


@dataclass(frozen=True, slots=True)
class Flips:
    """Payments in both files whose outcome differs.

    `outcomes` is by "approve → decline", `rules` by (rule, what differs of it, the
    flip); the rule "" is for payments of which no rule says anything else: the
    score, the thresholds or a fallback made the difference.
    """

    both: int
    outcomes: dict[str, Slice]
    rules: dict[tuple[str, str, str], Slice]

    @property
    def count(self) -> int:
        """How many outcomes differ."""
        return sum(part.count for part in self.outcomes.values())


_FLIPPED = """CREATE TEMP TABLE flipped AS
    SELECT id, coalesce(a.currency, b.currency) AS currency,
        coalesce(a.amount_minor, b.amount_minor) AS amount_minor,
        coalesce(a.fraud, b.fraud) AS fraud,
        lower(a.outcome) || ' → ' || lower(b.outcome) AS flip,
        a.rules AS rules_a, b.rules AS rules_b
    FROM a JOIN b USING (id) WHERE a.outcome <> b.outcome"""
_HELD = """CREATE TEMP TABLE held_{0} AS SELECT id, h.hit.rule AS rule,
        lower(h.hit.outcome) AS asks, h.hit.mode AS mode
    FROM flipped, unnest(rules_{0}) AS h(hit) WHERE NOT h.hit.unknown"""
_BECAUSE = """CREATE TEMP TABLE because AS
    SELECT f.currency, f.amount_minor, f.fraud, f.flip,
        coalesce(c.rule, '') AS rule, coalesce(c.what, '') AS what
    FROM flipped f LEFT JOIN (
        SELECT id, rule, CASE
            WHEN x.id IS NULL THEN 'holds now'
            WHEN y.id IS NULL THEN 'no longer holds'
            WHEN x.mode <> y.mode THEN x.mode || ' → ' || y.mode
            ELSE 'asks for ' || y.asks || ', not ' || x.asks END AS what
        FROM held_a x FULL JOIN held_b y USING (id, rule)
        WHERE x.id IS NULL OR y.id IS NULL OR x.mode <> y.mode
            OR x.asks <> y.asks) c USING (id)"""


def flips(first: Path, second: Path) -> Flips:
    """Compare the outcomes of two decisions files; raises `BadArtifact`."""
    with connect() as con:
        view(con, "a", first)
        view(con, "b", second)
        ((both,),) = con.execute("SELECT count(*) FROM a JOIN b USING (id)").fetchall()
        for made in (_FLIPPED, _HELD.format("a"), _HELD.format("b"), _BECAUSE):
            con.execute(made)
        key = "{'rule': rule, 'what': what, 'flip': flip}"
        return Flips(
            both=both,
            outcomes=slices(con, "flipped", "flip"),
            rules={
                (k["rule"], k["what"], k["flip"]): part
                for k, part in _keyed(slices(con, "because", f"to_json({key})"))
            },
        )


def _keyed(found: dict[Any, Slice]) -> Iterator[tuple[dict[str, str], Slice]]:
    from json import loads

    for key, part in found.items():
        yield loads(key), part


def flip_sheets(found: Flips) -> list[Sheet]:
    """The tables of a comparison, largest first; none where nothing flipped."""
    columns = ("payments", "frauds", "precision", "amount", "fraud amount")
    by_outcome = sorted(found.outcomes.items(), key=lambda item: -item[1].count)
    by_rule = sorted(found.rules.items(), key=lambda item: -item[1].count)
    sheets = [
        Sheet(
            "Outcomes that flipped",
            ("flip", *columns),
            tuple((flip, *_cells(part)) for flip, part in by_outcome),
        ),
        Sheet(
            "By rule",
            ("rule", "what differs", "flip", *columns),
            tuple(
                (rule or "(score or fallback)", what, flip, *_cells(part))
                for (rule, what, flip), part in by_rule
            ),
        ),
    ]
    return [sheet for sheet in sheets if sheet.rows]


def _cells(part: Slice) -> tuple[str, ...]:
    return (
        f"{part.count:,}",
        f"{part.frauds:,}",
        percent(part.precision),
        money(part.amounts),
        money(part.fraud_amounts),
    )


def redecide(
    decisions: Path, policy: Policy, out: Path, lists: DatedLists = NO_LISTS
) -> None:
    """Write what a policy decides on the vectors and scores of a run.

    `lists` are those that it names and does not hold itself. Reasons are those of
    rules, lists and fallbacks: what each feature added to a score is in no decisions
    file. Raises `BadArtifact` where the file is of an earlier release or of other
    definitions.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = decisions_schema()
    with connect() as con:
        view(con, "run", decisions)
        columns = ", ".join(schema.names)
        found = con.sql(f"SELECT {columns} FROM run")  # noqa: S608 our own names
        with pq.ParquetWriter(out, schema, compression="zstd") as writer:
            for batch in found.to_arrow_reader(_ROWS_PER_BATCH):
                rows = [
                    _redecided(
                        row,
                        policy.with_lists(lists.as_of(row["occurred_at_ms"])),
                        decisions,
                    )
                    for row in batch.to_pylist()
                ]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _redecided(row: dict[str, Any], policy: Policy, path: Path) -> dict[str, Any]:
    if row["transaction"] is None:
        raise BadArtifact(
            f"{path}: was written by an earlier release; replay the table again"
        )
    vector = np.array([nan if v is None else v for v in row["features"]], np.float32)
    if len(vector) not in {0, len(policy.features)}:
        raise BadArtifact(
            f"{path}: has vectors of {len(vector)} features, the policy's definitions "
            f"{len(policy.features)}; name the run's with SCORING_FEATURES_FILE"
        )
    core = _decided(row, vector, policy)
    return row | {
        "outcome": core.outcome.name,
        "reasons": [reason.code for reason in core.reasons],
        "rules": [
            {
                "rule": hit.rule,
                "outcome": hit.outcome.name,
                "mode": hit.mode.name.lower(),
                "unknown": hit.unknown,
            }
            for hit in core.rule_hits
        ],
        "core_sha256": None,
        "policy_version": policy.version,
        "let_through": None,  # nothing is paid: what it would decline is declined
    }


def _decided(row: dict[str, Any], vector: Any, policy: Policy) -> DecisionCore:
    message = transaction_pb2.Transaction.FromString(row["transaction"])
    evidence = Evidence(
        vector=vector if len(vector) else None,
        margin=row["margin"],
        probability=row["score"],
        degradations=tuple(
            Degradation(DegradationCode[code.upper()]) for code in row["degradations"]
        ),
    )
    payment = wire.accepted_from_proto(message)
    return decide(payment, b"", policy=policy, evidence=evidence)
