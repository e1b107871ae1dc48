"""Cases as rows, and back."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Row

from scoring.control.domain.cases import (
    Case,
    CaseListed,
    CaseVerdict,
    Closing,
    ClosingWish,
    DecidedPayment,
    ListingWish,
)

UNKNOWN_RANK = -1  # after every amount that is known
_DECIDED = tuple(each.name for each in fields(DecidedPayment))
_OWN = (
    "number",
    "opened_at_ms",
    "due_at_ms",
    "revision",
    "assignee",
    "lease_until_ms",
    "labelled",
    "erased",
)


def case_values(case: Case) -> dict[str, Any]:
    """A case as a row."""
    decided, closing = case.decided, case.closing
    worth = decided.worth_minor
    return {
        **{name: getattr(decided, name) for name in _DECIDED},
        **{name: getattr(case, name) for name in _OWN},
        "rank_minor": UNKNOWN_RANK if worth is None else worth,
        "rules": json.dumps(decided.rules),
        "reasons": json.dumps(decided.reasons),
        "is_closed": closing is not None,
        "closed_at_ms": None if closing is None else closing.at_ms,
        "closing": None if closing is None else json.dumps(asdict(closing)),
    }


def case_from(row: Row[Any]) -> Case:
    """A case from its row."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name of it
    decided = {name: values[name] for name in _DECIDED}
    decided |= {name: tuple(json.loads(values[name])) for name in ("rules", "reasons")}
    closing = values["closing"]
    return Case(
        **{name: values[name] for name in _OWN},
        decided=DecidedPayment(**decided),
        closing=None if closing is None else _closing(json.loads(closing)),
    )


def tags_of(decided: DecidedPayment) -> list[str]:
    """What a case is found by: its rules and reasons.

    >>> tags_of(DecidedPayment(tenant="t", transaction_id="1", outcome="review",
    ...     decided_at_ms=1, occurred_at_ms=1, rules=("velocity",)))
    ['rule:velocity']
    """
    rules = [f"rule:{name}" for name in dict.fromkeys(decided.rules)]
    return rules + [f"reason:{code}" for code in dict.fromkeys(decided.reasons)]


def _closing(written: dict[str, Any]) -> Closing:
    wish = written["wish"]
    return Closing(
        wish=ClosingWish(
            verdict=CaseVerdict(wish["verdict"]),
            listings=tuple(ListingWish(**each) for each in wish["listings"]),
            why=wish["why"],
            label_version=wish["label_version"],
        ),
        by=written["by"],
        at_ms=written["at_ms"],
        label_version=written["label_version"],
        listed=tuple(CaseListed(**each) for each in written["listed"]),
    )
