"""Values of the domain as rows, and back."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, func, insert, select, update

from scoring.control.domain.approvals import Act, PolicyProposal, ProposalStage
from scoring.control.domain.arrangement import Arrangement
from scoring.control.domain.audit_chain import AuditEntry
from scoring.control.domain.gate import Backtest
from scoring.control.domain.policy_life import CheckedText, PolicyState, PolicyVersion

Values = dict[str, Any]


def next_number(connection: Connection, column: Column[int]) -> int:
    """One more than the largest; the lock of writers makes it this writer's own."""
    largest = connection.execute(select(func.max(column))).scalar_one()
    return (largest or 0) + 1


def saved(connection: Connection, table: Table, values: Values, *, new: bool) -> None:
    """Insert a row, or update the one with its key."""
    if new:
        connection.execute(insert(table).values(values))
        return
    keys = table.primary_key.columns
    of_it = update(table).where(*(each == values[each.name] for each in keys))
    connection.execute(of_it.values(values))


def policy_values(policy: PolicyVersion) -> Values:
    """A version as a row."""
    checked = policy.checked
    return {
        "number": policy.number,
        "version": checked.version,
        "name": checked.name,
        "text": checked.text,
        "reasons": checked.reasons,
        "lists": json.dumps(checked.lists),
        "state": policy.state.value,
        "revision": policy.revision,
        "authors": json.dumps(sorted(policy.authors)),
        "based_on": policy.based_on,
        "before": policy.before,
        "was_in_force": policy.was_in_force,
        "why": policy.why,
        "created_at_ms": policy.created_at_ms,
    }


def policy_from(row: Row[Any]) -> PolicyVersion:
    """A version from its row."""
    return PolicyVersion(
        number=row.number,
        checked=CheckedText(
            text=row.text,
            reasons=row.reasons,
            version=row.version,
            name=row.name,
            lists=tuple(json.loads(row.lists)),
        ),
        state=PolicyState(row.state),
        revision=row.revision,
        authors=frozenset(json.loads(row.authors)),
        based_on=row.based_on,
        before=row.before,
        was_in_force=row.was_in_force,
        why=row.why,
        created_at_ms=row.created_at_ms,
    )


def proposal_values(proposal: PolicyProposal) -> Values:
    """A proposal as a row."""
    values = {name: getattr(proposal, name) for name in proposal.__slots__}
    return values | {"act": proposal.act.value, "stage": proposal.stage.value}


def proposal_from(row: Row[Any]) -> PolicyProposal:
    """A proposal from its row."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name of it
    return PolicyProposal(
        **values | {"act": Act(row.act), "stage": ProposalStage(row.stage)}
    )


def backtest_values(backtest: Backtest) -> Values:
    """A backtest as a row."""
    values = {name: getattr(backtest, name) for name in backtest.__slots__}
    return values | {"figures": json.dumps(dict(backtest.figures))}


def backtest_from(row: Row[Any]) -> Backtest:
    """A backtest from its row."""
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name of it
    return Backtest(**values | {"figures": json.loads(row.figures)})


def arrangement_values(arrangement: Arrangement) -> Values:
    """An arrangement as columns of a release."""
    return {
        "policy": arrangement.policy,
        "candidate": arrangement.candidate,
        "share": arrangement.share,
        "shadows": json.dumps(arrangement.shadows),
        "rearmed": json.dumps(dict(arrangement.rearmed)),
    }


def arrangement_from(row: Row[Any]) -> Arrangement:
    """An arrangement from a release's row."""
    return Arrangement(
        policy=row.policy,
        candidate=row.candidate,
        share=row.share,
        shadows=tuple(json.loads(row.shadows)),
        rearmed=json.loads(row.rearmed),
    )


def entry_values(entry: AuditEntry) -> Values:
    """An audit entry as a row."""
    return {name: getattr(entry, name) for name in entry.__slots__}


def entry_from(row: Row[Any]) -> AuditEntry:
    """An audit entry from its row."""
    return AuditEntry(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name of it
