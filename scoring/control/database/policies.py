"""Policy versions, their revisions, proposals, backtests and releases, as rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, Table, insert, select, update

from scoring.control.database import rows
from scoring.control.database.tables import (
    BACKTESTS,
    POLICIES,
    POLICY_REVISIONS,
    PROPOSALS,
    RELEASES,
)
from scoring.control.domain.approvals import PolicyProposal
from scoring.control.domain.arrangement import Arrangement
from scoring.control.domain.audit_chain import AuditEntry
from scoring.control.domain.gate import Backtest
from scoring.control.domain.people import Doing
from scoring.control.domain.policy_life import PolicyState, PolicyVersion
from scoring.errors import NotFound

_AT_ONCE_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRelease:
    """A release as it is kept: its number, what ran, and who said so.

    `audit` is the hash of the entry that records it, at `audit_sequence`.
    """

    number: int
    arrangement: Arrangement
    version: str
    by: str
    why: str
    at_ms: int
    audit_sequence: int
    audit: str


class Policies:
    """Everything about policies, by the connection of a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # Versions ---------------------------------------------------------------

    def next_number(self) -> int:
        """The number of the next version."""
        return rows.next_number(self._connection, POLICIES.c.number)

    def policy(self, number: int) -> PolicyVersion:
        """A version; raises `NotFound`."""
        return rows.policy_from(self._one(POLICIES, number, "version of a policy"))

    def policies(
        self, *, state: str = "", below: int | None = None, count_max: int = 100
    ) -> list[PolicyVersion]:
        """Versions, the newest first; `below` carries on after a number."""
        found = select(POLICIES).order_by(POLICIES.c.number.desc())
        if state:
            found = found.where(POLICIES.c.state == state)
        if below is not None:
            found = found.where(POLICIES.c.number < below)
        limited = found.limit(min(count_max, _AT_ONCE_MAX))
        return [rows.policy_from(row) for row in self._connection.execute(limited)]

    def in_states(self, states: Collection[PolicyState]) -> list[PolicyVersion]:
        """Every version that is in one of these states, the newest first."""
        found = select(POLICIES).where(POLICIES.c.state.in_(states))
        ordered = found.order_by(POLICIES.c.number.desc())
        return [rows.policy_from(row) for row in self._connection.execute(ordered)]

    def of_version(self, version: str) -> list[PolicyVersion]:
        """Every numbered version of this hash, the newest first."""
        found = select(POLICIES).where(POLICIES.c.version == version)
        ordered = found.order_by(POLICIES.c.number.desc())
        return [rows.policy_from(row) for row in self._connection.execute(ordered)]

    def add(self, policy: PolicyVersion) -> None:
        """Keep a new version."""
        values = rows.policy_values(policy)
        rows.saved(self._connection, POLICIES, values, new=True)

    def save(self, policy: PolicyVersion) -> None:
        """Keep what has become of a version."""
        values = rows.policy_values(policy)
        rows.saved(self._connection, POLICIES, values, new=False)

    def add_revision(self, policy: PolicyVersion, doing: Doing) -> None:
        """Keep what a revision of a draft said, and who wrote it."""
        self._connection.execute(
            insert(POLICY_REVISIONS).values(
                policy=policy.number,
                revision=policy.revision,
                text=policy.checked.text,
                by=doing.person.name,
                at_ms=doing.at_ms,
            )
        )

    def revision(self, number: int, revision: int) -> tuple[str, str] | None:
        """The text of a revision and who wrote it; None where there is none."""
        row = self._connection.execute(
            select(POLICY_REVISIONS.c.text, POLICY_REVISIONS.c.by).where(
                POLICY_REVISIONS.c.policy == number,
                POLICY_REVISIONS.c.revision == revision,
            )
        ).one_or_none()
        return None if row is None else (row.text, row.by)

    # Proposals and backtests --------------------------------------------------

    def next_proposal(self) -> int:
        """The number of the next proposal."""
        return rows.next_number(self._connection, PROPOSALS.c.number)

    def proposal(self, number: int) -> PolicyProposal:
        """A proposal; raises `NotFound`."""
        return rows.proposal_from(self._one(PROPOSALS, number, "proposal"))

    def proposals(
        self, *, policy: int | None = None, stage: str = ""
    ) -> list[PolicyProposal]:
        """Proposals, of a version or at a stage where one is named, newest first."""
        found = select(PROPOSALS).order_by(PROPOSALS.c.number.desc())
        if policy is not None:
            found = found.where(PROPOSALS.c.policy == policy)
        if stage:
            found = found.where(PROPOSALS.c.stage == stage)
        limited = found.limit(_AT_ONCE_MAX)
        return [rows.proposal_from(row) for row in self._connection.execute(limited)]

    def add_proposal(self, proposal: PolicyProposal) -> None:
        """Keep a new proposal."""
        values = rows.proposal_values(proposal)
        rows.saved(self._connection, PROPOSALS, values, new=True)

    def save_proposals(self, proposals: Sequence[PolicyProposal]) -> None:
        """Keep what has become of proposals."""
        for each in proposals:
            values = rows.proposal_values(each)
            rows.saved(self._connection, PROPOSALS, values, new=False)

    def backtest(self, number: int) -> Backtest:
        """A backtest; raises `NotFound`."""
        return rows.backtest_from(self._one(BACKTESTS, number, "backtest"))

    def backtests(self, version: str) -> list[Backtest]:
        """The backtests of a version (a hash), the newest first."""
        found = select(BACKTESTS).where(BACKTESTS.c.version == version)
        ordered = found.order_by(BACKTESTS.c.number.desc()).limit(_AT_ONCE_MAX)
        return [rows.backtest_from(row) for row in self._connection.execute(ordered)]

    def add_backtest(self, backtest: Backtest) -> None:
        """Keep a backtest."""
        values = rows.backtest_values(backtest)
        rows.saved(self._connection, BACKTESTS, values, new=True)

    # Releases -----------------------------------------------------------------

    def release(self, number: int) -> KeptRelease:
        """A release; raises `NotFound`."""
        return _release_from(self._one(RELEASES, number, "release"))

    def releases(
        self, *, below: int | None = None, count_max: int = 100
    ) -> list[KeptRelease]:
        """Releases, the newest first."""
        found = select(RELEASES).order_by(RELEASES.c.number.desc())
        if below is not None:
            found = found.where(RELEASES.c.number < below)
        limited = found.limit(min(count_max, _AT_ONCE_MAX))
        return [_release_from(row) for row in self._connection.execute(limited)]

    def in_force(self) -> KeptRelease | None:
        """The newest release; None before the first."""
        return next(iter(self.releases(count_max=1)), None)

    def add_release(self, release: KeptRelease, entry: AuditEntry) -> None:
        """Keep a new release, with the audit entry that records it."""
        self._connection.execute(
            insert(RELEASES).values(
                number=release.number,
                **rows.arrangement_values(release.arrangement),
                version=release.version,
                by=release.by,
                why=release.why,
                at_ms=release.at_ms,
                audit_sequence=entry.sequence,
                audit_hash=entry.hash,
            )
        )

    def renumber(self, number: int, to: int) -> None:
        """Give a release that nobody has read another number; what it used follows."""
        of_it = update(RELEASES).where(RELEASES.c.number == number)
        self._connection.execute(of_it.values(number=to))
        used = update(PROPOSALS).where(PROPOSALS.c.used_by == number)
        self._connection.execute(used.values(used_by=to))

    def anchors(self) -> dict[int, str]:
        """The audit's hashes that releases carry, by sequence."""
        found = select(RELEASES.c.audit_sequence, RELEASES.c.audit_hash)
        return {row[0]: row[1] for row in self._connection.execute(found)}

    def _one(self, table: Table, number: int, what: str) -> Row[tuple[object, ...]]:
        found = select(table).where(table.c.number == number)
        row = self._connection.execute(found).one_or_none()
        if row is None:
            raise NotFound(f"there is no {what} with number {number}", "number")
        return row


def _release_from(row: Row[tuple[object, ...]]) -> KeptRelease:
    return KeptRelease(
        number=row.number,
        arrangement=rows.arrangement_from(row),
        version=row.version,
        by=row.by,
        why=row.why,
        at_ms=row.at_ms,
        audit_sequence=row.audit_sequence,
        audit=row.audit_hash,
    )
