"""What a policy did to the payments of a replay: outcomes, fraud caught, rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.core.decision.decision import Outcome
from scoring.replay.decisions import view
from scoring.replay.slices import Slice, slices, sum_of
from scoring.training.sql import connect

_STRICTNESS = (
    "CASE {0} WHEN 'DECLINE' THEN 4 WHEN 'REVIEW' THEN 3 WHEN 'CHALLENGE' THEN 2 "
    "WHEN 'APPROVE' THEN 1 ELSE 0 END"
)


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule or list: where it held, and what it asked for.

    `stricter` are the hits for which it asked more than was done: for a shadow rule,
    what enforcing it would change. `unknown` counts the rows that left it unknown.
    """

    rule: str
    mode: str
    outcome: str
    hits: Slice
    stricter: Slice
    unknown: int


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """Everything over one run's decisions; `outcomes` has all four, mildest first.

    `stopped` has, for challenge, review and decline, what got at least that.
    `reasons` are first reasons of what was not approved, most frequent first.
    """

    policies: tuple[str, ...]
    models: tuple[str, ...]
    all: Slice
    degradations: dict[str, int]
    outcomes: dict[str, Slice]
    stopped: dict[str, Slice]
    rules: tuple[RuleLine, ...]
    reasons: dict[str, Slice]

    @property
    def labelled(self) -> bool:
        """Whether anything is known of what turned out to be true."""
        return bool(self.all.frauds + self.all.legitimate)


def policy_report(
    path: Path, *, from_ms: int = 0, rules: Iterable[tuple[str, str, str]] = ()
) -> PolicyReport:
    """Report on a decisions file; raises `BadArtifact` where it is none.

    `from_ms` leaves out earlier rows. `rules` (id, mode, outcome) are the policy's:
    those that never held are listed too.
    """
    with connect() as con:
        view(con, "every", path)
        con.execute(
            f"""CREATE TEMP TABLE judged AS SELECT * EXCLUDE (features, transaction)
            FROM every WHERE occurred_at_ms >= {from_ms:d}"""  # noqa: S608 a number
        )
        outcomes = slices(con, "judged", "outcome")
        named = {o.name: outcomes.get(o.name, Slice()) for o in Outcome if o}
        first = slices(
            con, "(SELECT * FROM judged WHERE outcome <> 'APPROVE')", "reasons[1]"
        )
        by_count = sorted(first.items(), key=lambda item: -item[1].count)
        return PolicyReport(
            policies=_distinct(con, "policy_version"),
            models=_distinct(con, "model_version"),
            all=sum_of(outcomes.values()),
            degradations=_degradations(con),
            outcomes=named,
            stopped={
                o.name: sum_of(named[p.name] for p in Outcome if p >= o)
                for o in (Outcome.CHALLENGE, Outcome.REVIEW, Outcome.DECLINE)
            },
            rules=_rules(con, rules),
            reasons={str(code): one for code, one in by_count},
        )


def _rules(con: Any, known: Iterable[tuple[str, str, str]]) -> tuple[RuleLine, ...]:
    con.execute(
        f"""CREATE TEMP TABLE hits AS SELECT currency, amount_minor, fraud, unknown,
            {{'rule': rule, 'mode': mode, 'asks': asks}} AS key, stricter
        FROM (SELECT j.currency, j.amount_minor, j.fraud, h.hit.unknown AS unknown,
            h.hit.rule AS rule, h.hit.mode AS mode, h.hit.outcome AS asks,
            {_STRICTNESS.format("h.hit.outcome")} > {_STRICTNESS.format("j.outcome")}
                AS stricter
            FROM judged j, unnest(j.rules) AS h(hit))"""  # noqa: S608 fixed text
    )
    text = "key.rule || '|' || key.mode || '|' || key.asks"
    held = slices(con, "(SELECT * FROM hits WHERE NOT unknown)", text)
    stricter = slices(con, "(SELECT * FROM hits WHERE NOT unknown AND stricter)", text)
    unknown = slices(con, "(SELECT * FROM hits WHERE unknown)", "key.rule")
    keys = ["|".join(key) for key in known]
    keys += [key for key in held if key not in keys]
    seen = {key.split("|")[0] for key in keys}
    keys += [f"{rule}||" for rule in unknown if rule not in seen]
    lines = []
    for key in keys:
        rule, mode, asks = key.rsplit("|", 2)
        lines.append(
            RuleLine(
                *(rule, mode, asks, held.get(key, Slice())),
                *(stricter.get(key, Slice()), unknown.get(rule, Slice()).count),
            )
        )
    return tuple(lines)


def _distinct(con: Any, column: str) -> tuple[str, ...]:
    rows = con.execute(
        f"SELECT DISTINCT {column} FROM judged WHERE {column} <> '' ORDER BY 1"  # noqa: S608
    ).fetchall()
    return tuple(row[0] for row in rows)


def _degradations(con: Any) -> dict[str, int]:
    rows = con.execute(
        """SELECT code, count(*) FROM judged, unnest(degradations) AS d(code)
        GROUP BY code ORDER BY 2 DESC, 1"""
    ).fetchall()
    return dict(rows)
