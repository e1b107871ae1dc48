"""Decides chunks of decided payments by two policies, in SQL; adds up combinations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from scoring.backtest.managed import prepare
from scoring.backtest.predicates import SqlInputs
from scoring.backtest.segments import SegmentJoins
from scoring.backtest.side import Predicates, Side, Workshop
from scoring.backtest.source import JudgedSpan
from scoring.core.decision.decision import Outcome, RuleHit
from scoring.core.features.catalogue import Catalogue
from scoring.replay.slices import PaymentClass
from scoring.training.offline.rates import with_amounts

BINS = 1_000  # of the score: a threshold lies on their edges
SAMPLE = 5  # payments kept of each combination that flips
_PASSED = (
    *("tenant", "id", "at_ms", "minor", "currency", "amount", "truth", "weight"),
    *("recorded", "by_old", "bin", "segment"),
)


@dataclass(slots=True)
class Combination:
    """Masks, what was missing and the score's word, and what comes of them.

    `floor` is the outcome where the score asks for nothing; it is None where the score
    is not asked, or what it asks for cannot matter.
    """

    key: tuple[int, ...]
    outcome: Outcome
    floor: Outcome | None


@dataclass
class Trial:
    """Both policies over one connection; results are in tables of it.

    `groups` (old, new, truth, currency, count, minor, amount, weight, weighted),
    `curves` (segment, bin, floor, truth, count, amount, weight, weighted), `segments`
    (segment, outcome, truth, and the same sums), `declined` (segment, new, truth, and
    the same) of what the new policy declines, `samples`, `skipped` and `differing`
    gather over the chunks.
    """

    con: Any
    catalogue: Catalogue
    old: Side
    new: Side
    span: JudgedSpan
    combinations: dict[str, dict[tuple[int, ...], int]] = field(init=False)
    found: dict[str, list[Combination]] = field(init=False)

    def __post_init__(self) -> None:
        """Lower both policies and make the tables."""
        prepare(self.con)
        inputs, segments = SqlInputs(self.catalogue.names), SegmentJoins(self.con)
        self._shop = Workshop(self.con, inputs, Predicates(), segments)
        self._keys = {
            name: sql
            for side in self.sides
            for name, sql in side.columns(self._shop).items()
        }
        self._segment = self._shop.inputs.named(self.new.segment(self._shop))
        self.combinations = {side.name: {} for side in self.sides}
        self.found = {side.name: [] for side in self.sides}
        for table in _TABLES:
            self.con.execute(f"CREATE TEMP TABLE {table}")
        for side in self.sides:
            keys = ", ".join(f"{key} BIGINT" for key in side.keys)
            self.con.execute(
                f"""CREATE TEMP TABLE {side.name}_combinations (
                {keys}, {side.name} INTEGER, {side.name}_outcome TINYINT,
                {side.name}_floor TINYINT)"""
            )

    @property
    def sides(self) -> tuple[Side, Side]:
        """The old and the new policy."""
        return self.old, self.new

    def outcome(self, side: str, combination: int) -> Outcome:
        """What is decided for a combination."""
        return self.found[side][combination].outcome

    def hits(self, side: str, combination: int) -> tuple[RuleHit, ...]:
        """The rules and lists that held for a combination, or were unknown."""
        one = self.old if side == self.old.name else self.new
        return one.hits(self.found[side][combination].key)

    def take(self) -> None:
        """Decide the rows of the view `paid`."""
        self.con.execute(
            """INSERT INTO skipped SELECT unfit, count(*) FROM paid
            WHERE unfit IS NOT NULL GROUP BY ALL"""
        )
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE judged AS {self.query()}")
        for side in self.sides:
            self._learn(side)
        joins = " ".join(
            f"JOIN {side.name}_combinations USING ({', '.join(side.keys)})"
            for side in self.sides
        )
        self.con.execute(
            f"""CREATE OR REPLACE TEMP TABLE settled AS
            SELECT {", ".join(_PASSED)}, old, new, old_outcome, new_outcome, new_floor
            FROM judged {joins}"""  # noqa: S608
        )
        for statement in _GATHER:
            self.con.execute(statement)

    def query(self) -> str:
        """The query of every eligible row of `paid` with its keys."""
        shop = self._shop
        rows = with_amounts(self.con, self.catalogue, f"({self._eligible()})")
        inputs = "".join(
            f", {sql} AS {name}" for name, sql in shop.inputs.columns.items()
        )
        listed = shop.inputs.listed.values()
        untils = "".join(
            f", CASE WHEN {one.column}.since <= at_ms THEN {one.column}.until END "
            f"AS {one.column}"
            for one in listed
        )
        joins = " ".join(
            f"LEFT JOIN {one.list} AS {one.column} ON {one.column}.token = {one.key}"
            for one in listed
        )
        asked = "".join(
            f", {sql} AS {name}" for name, sql in shop.predicates.columns.items()
        )
        keys = ", ".join(f"{sql} AS {name}" for name, sql in self._keys.items())
        kept = ", ".join(name for name in _PASSED if name not in {"bin", "segment"})
        segments = " ".join(shop.segments.joins)
        return f"""WITH rows AS {rows},
        inputs AS (SELECT {kept}, score {inputs} FROM rows {segments}),
        listed AS (SELECT inputs.* {untils} FROM inputs {joins}),
        asked AS (SELECT * {asked} FROM listed)
        SELECT {kept}, {bin_sql("score")} AS bin, {self._segment}::INTEGER AS segment,
            {keys}
        FROM asked"""  # noqa: S608

    def _eligible(self) -> str:
        ours = f"policy_version = '{self.old.policy.version}' AND let_through IS NULL"
        return f"""SELECT *, occurred_at_ms AS at_ms, amount_minor AS minor,
            {truth_sql(self.span)} AS truth, {ours} AS by_old,
            CASE WHEN let_through > 0 THEN 1.0 / let_through ELSE 1.0 END AS weight
        FROM paid WHERE unfit IS NULL"""  # noqa: S608

    def _learn(self, side: Side) -> None:
        """Decide the combinations of a side that have not occurred before."""
        known, found = self.combinations[side.name], self.found[side.name]
        keys = ", ".join(side.keys)
        fresh = self.con.execute(
            f"""SELECT DISTINCT {keys} FROM judged ANTI JOIN {side.name}_combinations
            USING ({keys})"""  # noqa: S608
        ).fetchall()
        if not fresh:
            return
        made = []
        for key in fresh:
            outcome, floor = side.decided(key)
            known[key] = len(found)
            found.append(Combination(key, outcome, floor))
            made.append((*key, known[key], int(outcome), int(floor or 0)))
        columns = [*side.keys, side.name, f"{side.name}_outcome", f"{side.name}_floor"]
        table = pa.table(dict(zip(columns, zip(*made, strict=True), strict=True)))
        self.con.register("fresh", table)
        self.con.execute(
            f"INSERT INTO {side.name}_combinations SELECT * FROM fresh"  # noqa: S608
        )
        self.con.unregister("fresh")


_TABLES = (
    """groups (old INTEGER, new INTEGER, truth VARCHAR, currency VARCHAR, count BIGINT,
    minor HUGEINT, amount HUGEINT, weight DOUBLE, weighted DOUBLE, last_ms BIGINT)""",
    """curves (segment INTEGER, bin SMALLINT, floor TINYINT, truth VARCHAR,
    count BIGINT, amount HUGEINT, weight DOUBLE, weighted DOUBLE)""",
    """segments (segment INTEGER, outcome TINYINT, truth VARCHAR, count BIGINT,
    amount HUGEINT, weight DOUBLE, weighted DOUBLE)""",
    """declined (segment INTEGER, new INTEGER, truth VARCHAR, count BIGINT,
    amount HUGEINT, weight DOUBLE, weighted DOUBLE)""",
    "samples (old INTEGER, new INTEGER, tenant VARCHAR, id VARCHAR)",
    "skipped (cause VARCHAR, count BIGINT)",
    "recorded_by_old (count BIGINT, differing BIGINT)",
)
_GATHER = (
    """INSERT INTO groups SELECT old, new, truth, coalesce(currency, ''), count(*),
        coalesce(sum(minor), 0), coalesce(sum(amount), 0), sum(weight),
        coalesce(sum(amount * weight), 0), max(at_ms)
    FROM settled GROUP BY ALL""",
    """INSERT INTO curves SELECT segment, bin, new_floor, truth, count(*),
        coalesce(sum(amount), 0), sum(weight), coalesce(sum(amount * weight), 0)
    FROM settled WHERE bin IS NOT NULL AND new_floor > 0 GROUP BY ALL""",
    """INSERT INTO segments SELECT segment, new_outcome, truth, count(*),
        coalesce(sum(amount), 0), sum(weight), coalesce(sum(amount * weight), 0)
    FROM settled GROUP BY ALL""",
    f"""INSERT INTO declined SELECT segment, new, truth, count(*),
        coalesce(sum(amount), 0), sum(weight), coalesce(sum(amount * weight), 0)
    FROM settled WHERE new_outcome = {int(Outcome.DECLINE)} GROUP BY ALL""",  # noqa: S608
    f"""INSERT INTO samples SELECT old, new, one.tenant, one.id FROM (
        SELECT old, new, unnest(arg_min({{'tenant': tenant, 'id': id}}, hash(id),
            {SAMPLE})) AS one
        FROM settled WHERE old_outcome <> new_outcome GROUP BY old, new)""",  # noqa: S608
    """INSERT INTO recorded_by_old SELECT count(*) FILTER (by_old AND recorded > 0),
        count(*) FILTER (by_old AND recorded > 0 AND recorded <> old_outcome)
    FROM settled""",
)


def truth_sql(span: JudgedSpan) -> str:
    """What became of a payment; see `PaymentClass`."""
    told = "coalesce(told_fraud::VARCHAR, '')"
    declined = f"recorded = {int(Outcome.DECLINE)} AND let_through IS NULL"
    accepted = f"recorded = {int(Outcome.APPROVE)} OR accepted OR let_through > 0"
    cases = (
        (f"{told} = '' AND NOT refunded AND {declined}", PaymentClass.DECLINED),
        (f"occurred_at_ms > {span.judged_until_ms}", PaymentClass.PENDING),
        (f"{told} = 'true'", PaymentClass.FRAUD),
        ("refunded OR told_source = 'refund'", PaymentClass.REFUNDED),
        (f"{told} = 'false'", PaymentClass.LEGITIMATE),
        (f"NOT never_paid AND ({accepted})", PaymentClass.ASSUMED),
    )
    asked = " ".join(f"WHEN {when} THEN '{truth.value}'" for when, truth in cases)
    return f"CASE {asked} ELSE '{PaymentClass.UNKNOWN.value}' END"


def bin_sql(score: str) -> str:
    """The bin of a score: it is at least bin / 1,000 and below the next, exactly."""
    first = f"floor({score} * {BINS})"
    edge = f"({first} + {{}}) / {BINS}.0::DOUBLE"
    moved = (
        f"CASE WHEN {score} >= {edge.format(1)} THEN 1 "
        f"WHEN {score} < {edge.format(0)} THEN -1 ELSE 0 END"
    )
    known = f"{score} IS NOT NULL AND NOT isnan({score})"
    return f"CASE WHEN {known} THEN least({first} + {moved}, {BINS - 1})::SMALLINT END"
