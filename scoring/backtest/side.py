"""One policy as columns of SQL: masks, what was missing, what the score asks for.

What these mean together is `Policy.ruling` and `decide.settled`, which run once for
each combination that occurs, and never for a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scoring.backtest.managed import HASH_SQL, NO_LISTS, KnownLists
from scoring.backtest.predicates import (
    ListTable,
    SqlInputs,
    SqlLowering,
    number_sql,
    text_sql,
)
from scoring.backtest.segments import SegmentJoins
from scoring.core.decision.decision import Outcome, RuleHit
from scoring.core.policy.decide import settled
from scoring.core.policy.lists import expiries
from scoring.core.policy.policy import Policy, clauses_of, limit_number
from scoring.core.policy.policy_file import degradation, outcome
from scoring.core.policy.rules.check import checked
from scoring.core.policy.rules.program import Clause

_WORD_BITS = 62  # of a BIGINT, whose sums then never overflow
# The point of a payment in a rollout, as `rollout.point_of`: 53 bits of its hash.
_POINT = (
    "(('0x' || sha256(concat({salt}, ':', tenant, ':', {payment}))[1:16])::UBIGINT "
    ">> 11)::DOUBLE / 9007199254740992.0::DOUBLE"
)
_PAYMENT = "coalesce(nullif(payment_id, ''), id)"


@dataclass(frozen=True, slots=True)
class Judging:
    """How versions are judged: by these managed lists.

    With `everyone` a rule with a rollout acts for every payment, not for its share.
    """

    lists: KnownLists = NO_LISTS
    everyone: bool = False


AS_WRITTEN = Judging()


@dataclass(slots=True)
class Predicates:
    """Conditions of both sides, each asked once; `columns` maps a name to its SQL."""

    columns: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def named(self, sql: str) -> str:
        """The local name of a condition."""
        if sql not in self._names:
            self._names[sql] = f"p{len(self._names)}"
            self.columns[self._names[sql]] = sql
        return self._names[sql]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What both sides of one backtest are made of, on one connection."""

    con: Any
    inputs: SqlInputs
    predicates: Predicates
    segments: SegmentJoins


@dataclass(frozen=True)
class Side:
    """A policy, and the names of its key columns: "old" or "new" before each."""

    name: str
    policy: Policy
    judging: Judging = AS_WRITTEN

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """Lists that act by themselves, then rules, as the masks count them."""
        return clauses_of(self.policy.file)

    @property
    def words(self) -> int:
        """How many integers hold a mask."""
        return max(1, -(-len(self.clauses) // _WORD_BITS))

    @property
    def keys(self) -> list[str]:
        """The names of the columns that tell a combination."""
        kinds = "huq" if self.rolls else "hu"
        masks = [f"{kind}{word}" for kind in kinds for word in range(self.words)]
        return [f"{self.name}_{key}" for key in [*masks, "missing", "asked"]]

    @property
    def rolls(self) -> bool:
        """Whether some rule acts for a share of the payments only."""
        return bool(self.policy.rollouts.mask) and not self.judging.everyone

    def columns(self, shop: Workshop) -> dict[str, str]:
        """The SQL of each key, over inputs and predicates; makes the lists' tables."""
        asked = [shop.predicates.named(sql) for sql in self._predicates(shop)]
        found: dict[str, str] = {}
        for word in range(self.words):
            part = asked[word * _WORD_BITS : (word + 1) * _WORD_BITS]
            found[f"{self.name}_h{word}"] = _mask(part, "{}")
            found[f"{self.name}_u{word}"] = _mask(part, "{} IS NULL")
            found[f"{self.name}_q{word}"] = self._quiet(shop, word, asked)
        found[f"{self.name}_missing"] = self._missing(shop)
        found[f"{self.name}_asked"] = self._asked(shop)
        # In the order of `keys`, by which combinations are read back.
        return {key: found[key] for key in self.keys}

    def segment(self, shop: Workshop) -> str:
        """The SQL of the place of a payment's segment among the thresholds'."""
        segments = self.policy.file.thresholds.segments
        return shop.segments.case([case.where for case in segments])

    def decided(self, key: tuple[int, ...]) -> tuple[Outcome, Outcome | None]:
        """The outcome of a combination of the keys; and what it would be if the score
        asked for nothing, or None where it is not asked.
        """
        hits, unknowns, quiet, measures, asked = self.read(key)
        ruled = self.policy.ruling(hits, unknowns, quiet).outcome
        outcome = settled(ruled, measures, asked)
        free = settled(ruled, measures, Outcome.APPROVE)
        # A threshold that no score reaches, and one that every score does.
        heeded = asked and settled(ruled, measures, Outcome.DECLINE) is not free
        return outcome, free if heeded else None

    def without(self, key: tuple[int, ...], clause: int) -> Outcome:
        """The outcome of a combination if a clause neither held nor was unknown."""
        hits, unknowns, quiet, measures, asked = self.read(key)
        others = ~(1 << clause)
        ruled = self.policy.ruling(hits & others, unknowns & others, quiet).outcome
        return settled(ruled, measures, asked)

    def hits(self, key: tuple[int, ...]) -> tuple[RuleHit, ...]:
        """The rules and lists that held for a combination, or were unknown."""
        return self.policy.ruling(*self.read(key)[:3]).hits

    def read(
        self, key: tuple[int, ...]
    ) -> tuple[int, int, int, list[Outcome], Outcome | None]:
        """Masks of hits, unknowns and of what is quiet; measures, and the score."""
        *masks, missing, asked = key
        words = self.words
        hits, unknowns, quiet = (
            sum(word << i * _WORD_BITS for i, word in enumerate(part))
            for part in (masks[:words], masks[words : 2 * words], masks[2 * words :])
        )
        measures = [o for o in Outcome if o and missing >> o & 1]
        return hits, unknowns, quiet, measures, Outcome(asked) if asked else None

    def _quiet(self, shop: Workshop, word: int, asked: list[str]) -> str:
        """The sum of the bits of the clauses that act as shadow for a payment."""
        parts = []
        for bit, share, salt in self.policy.rollouts.clauses if self.rolls else ():
            clause = bit.bit_length() - 1
            if clause // _WORD_BITS != word:
                continue
            point = _POINT.format(
                salt=text_sql(salt), payment=shop.inputs.named(_PAYMENT)
            )
            # Hashed only where it matters: most rules hold seldom.
            parts.append(
                f"CASE WHEN {asked[clause]} IS DISTINCT FROM false THEN CASE WHEN "
                f"{point} >= {number_sql(float(share))} "
                f"THEN {1 << clause % _WORD_BITS}::BIGINT ELSE 0 END ELSE 0 END"
            )
        return " + ".join(parts) or "0::BIGINT"

    def _predicates(self, shop: Workshop) -> list[str]:
        limits = {name: self._limit(shop, name) for name in self.policy.file.limits}
        lowering = SqlLowering(shop.inputs, limits, self._lists(shop))
        asked = []
        for clause in self.clauses:
            held = lowering.predicate(checked(clause.when))
            times = []
            if clause.starts_ms is not None:
                times.append(f"at_ms >= {clause.starts_ms}")
            if clause.expires_ms is not None:
                times.append(f"at_ms < {clause.expires_ms}")
            # Outside of its time a clause neither holds nor is unknown.
            asked.append(
                f"CASE WHEN {' AND '.join(times)} THEN {held} ELSE false END"
                if times
                else held
            )
        return asked

    def _limit(self, shop: Workshop, name: str) -> str:
        limit = self.policy.file.limits[name]
        default = number_sql(limit_number(name, limit.default))
        if not limit.segments:
            return default
        place = shop.segments.case([case.where for case in limit.segments])
        numbers = [limit_number(name, case.limit) for case in limit.segments]
        return shop.inputs.named(_chosen(place, [*map(number_sql, numbers), default]))

    def _lists(self, shop: Workshop) -> dict[str, ListTable]:
        tables = {}
        for name, listed in self.policy.file.lists.items():
            if listed.managed:
                tables[name] = self._managed(shop, name)
                continue
            table = f"{self.name}_list_{name}"
            tables[name] = ListTable(table)
            until = expiries(listed.entries)
            shop.con.execute(
                f"""CREATE OR REPLACE TEMP TABLE {table} AS
                SELECT unnest(?::VARCHAR[]) AS token, 0::BIGINT AS since,
                    unnest(?::BIGINT[]) AS until""",
                [list(until), list(until.values())],
            )
        return tables

    def _managed(self, shop: Workshop, name: str) -> ListTable:
        held = self.judging.lists.needed(name)
        table = f"managed_list_{name}"  # one for both sides
        shop.con.register("managed_rows", held.rows)
        shop.con.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * FROM managed_rows"  # noqa: S608
        )
        shop.con.unregister("managed_rows")
        return ListTable(table, f"{HASH_SQL}({{}})" if held.hashed else "{}")

    def _asked(self, shop: Workshop) -> str:
        """The outcome that the score asks for, as its number; 0 without a score."""
        place = shop.inputs.named(self.segment(shop))
        score = shop.inputs.named("CASE WHEN NOT isnan(score) THEN score END")
        cuts = [*(cut for _, cut in self.policy.cuts.cases), self.policy.cuts.default]
        levels = [
            _chosen(place, [number_sql(cut[level]) for cut in cuts])
            for level in range(3)
        ]
        challenge, review, decline = levels
        return (
            f"CASE WHEN {score} IS NULL THEN 0 WHEN {score} >= {decline} THEN 4 "
            f"WHEN {score} >= {review} THEN 3 WHEN {score} >= {challenge} THEN 2 "
            "ELSE 1 END"
        )

    def _missing(self, shop: Workshop) -> str:
        """Which outcomes the policy asks for where something is missing, as bits."""
        bits = []
        for code in self.policy.measures:
            written = [
                fallback
                for fallback in self.policy.file.fallbacks
                if code in map(degradation, fallback.degradation)
            ]
            wheres = [fallback.where for fallback in written if fallback.where]
            plain = [fallback for fallback in written if not fallback.where]
            asks = [_bit(f.then) for f in written if f.where]
            asks.append(_bit(plain[0].then) if plain else "0")
            chosen = _chosen(shop.segments.case(wheres), asks)
            bits.append(
                f"CASE WHEN list_contains(degradations, '{code.name.lower()}') "
                f"THEN {chosen} ELSE 0 END"
            )
        found = " | ".join(f"({bit})" for bit in bits) or "0"
        named = shop.inputs.named(
            f"CASE WHEN len(degradations) > 0 THEN {found} ELSE 0 END"
        )
        score = shop.inputs.named("CASE WHEN NOT isnan(score) THEN score END")
        default = _bit(self.policy.file.default.outcome)
        return (
            f"CASE WHEN {score} IS NULL AND coalesce({named}, 0) = 0 "
            f"THEN {default} ELSE coalesce({named}, 0) END"
        )


def _bit(then: str) -> str:
    """The bit of an outcome; none where the score goes on.

    >>> _bit("decline"), _bit("score")
    ('16', '0')
    """
    return "0" if then == "score" else str(1 << outcome(then))  # type: ignore[arg-type]


def _mask(asked: list[str], condition: str) -> str:
    """The sum of the bits of the conditions that hold."""
    bits = [
        f"CASE WHEN {condition.format(name)} THEN {1 << i}::BIGINT ELSE 0 END"
        for i, name in enumerate(asked)
    ]
    return " + ".join(bits) or "0::BIGINT"


def _chosen(place: str, values: list[str]) -> str:
    """The value at a place; the last is the default's.

    >>> _chosen("n", ["7", "9"]), _chosen("0", ["9"])
    ('CASE n WHEN 0 THEN 7 ELSE 9 END', '9')
    """
    if len(values) == 1:
        return values[0]
    if len(values) > _VALUES_MAX:
        return f"[{', '.join(values)}][{place} + 1]"
    cases = " ".join(f"WHEN {i} THEN {value}" for i, value in enumerate(values[:-1]))
    return f"CASE {place} {cases} ELSE {values[-1]} END"


_VALUES_MAX = 64  # beyond, a list is indexed
