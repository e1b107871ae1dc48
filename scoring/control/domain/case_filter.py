"""Which cases are meant: what a queue is filtered by."""

from __future__ import annotations

from dataclasses import dataclass, fields

from scoring.control.domain.cases import CaseState


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFilter:
    """Every part that is said must hold; without a `state` those that are not closed.

    Amounts are minor units of the reference currency, from and below: a case whose
    amount is unknown lies in no such span. Times are those of the decisions.
    """

    state: CaseState | None = None
    tenant: str = ""
    transaction_id: str = ""
    assignee: str = ""
    outcome: str = ""
    rule: str = ""
    reason: str = ""
    merchant: str = ""
    worth_from: int | None = None
    worth_below: int | None = None
    decided_from_ms: int | None = None
    decided_before_ms: int | None = None
    is_overdue: bool | None = None

    @property
    def said(self) -> str:
        """What it says, as a selection is named by.

        >>> CaseFilter(rule="velocity", worth_from=0).said
        "rule='velocity' worth_from=0"
        """
        parts = ((each.name, getattr(self, each.name)) for each in fields(self))
        return " ".join(
            f"{n}={value!r}" for n, value in parts if value not in (None, "")
        )
