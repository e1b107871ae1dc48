"""What the API answers, as JSON: names are those of the domain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from scoring.control.database.policies import KeptRelease
from scoring.control.desks.policy_steps import PolicyAnswer
from scoring.control.domain.approvals import Act, PolicyProposal, ProposalStage
from scoring.control.domain.audit_chain import AuditEntry
from scoring.control.domain.people import PersonRole
from scoring.control.domain.policy_life import PolicyState, PolicyVersion
from scoring.control.replicas import ReplicaState, Standing
from scoring.core.release.policy_release import PolicyRelease

T = TypeVar("T")


class View(BaseModel):
    """What is answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(View, Generic[T]):
    """A part of a list; `next` is the cursor of the one after it, null for none."""

    items: list[T]
    next: str | None


class CheckedView(View):
    """A text that is good."""

    version: str
    name: str
    lists: list[str]
    remarks: list[str]


class PolicyView(View):
    """A version; its text only where it alone was asked for."""

    number: int
    version: str
    name: str
    state: PolicyState
    revision: int
    authors: list[str]
    based_on: int | None
    before: int | None
    was_in_force: bool
    created_at_ms: int
    why: str
    lists: list[str]
    remarks: list[str]
    text: str | None = None
    reasons: str | None = None

    @classmethod
    def of(cls, policy: PolicyVersion, *, whole: bool = False) -> PolicyView:
        """A version; `whole` with its text."""
        checked = policy.checked
        return cls(
            number=policy.number,
            version=policy.version,
            name=checked.name,
            state=policy.state,
            revision=policy.revision,
            authors=sorted(policy.authors),
            based_on=policy.based_on,
            before=policy.before,
            was_in_force=policy.was_in_force,
            created_at_ms=policy.created_at_ms,
            why=policy.why,
            lists=list(checked.lists),
            remarks=list(checked.remarks),
            text=checked.text if whole else None,
            reasons=checked.reasons if whole else None,
        )


class ProposalView(View):
    """A proposal, or the approval of one."""

    number: int
    policy: int
    version: str
    act: Act
    share: float | None
    backtest: int | None
    by: str
    at_ms: int
    why: str
    stage: ProposalStage
    decided_by: str
    decided_at_ms: int | None
    reason: str
    lapses_at_ms: int | None
    used_by: int | None

    @classmethod
    def of(cls, proposal: PolicyProposal) -> ProposalView:
        """The same."""
        return cls(**{name: getattr(proposal, name) for name in cls.model_fields})


class ArmView(View):
    """A version that decides a share of payments."""

    policy: int
    share: float


class ReleaseView(View):
    """A numbered arrangement; policies are numbers, `version` a hash."""

    release: int
    policy: int | None
    version: str
    candidate: ArmView | None
    shadows: list[int]
    rearmed: dict[str, int]
    by: str
    why: str
    published_at_ms: int
    audit: str

    @classmethod
    def of(cls, kept: KeptRelease) -> ReleaseView:
        """The same."""
        runs = kept.arrangement
        arm = None
        if runs.candidate is not None and runs.share is not None:
            arm = ArmView(policy=runs.candidate, share=runs.share)
        return cls(
            release=kept.number,
            policy=runs.policy,
            version=kept.version,
            candidate=arm,
            shadows=list(runs.shadows),
            rearmed=dict(runs.rearmed),
            by=kept.by,
            why=kept.why,
            published_at_ms=kept.at_ms,
            audit=kept.audit,
        )


class DoneView(View):
    """What has become of a version; `release` is the number of the one it made.

    Of a new proposal, `gate` is what its approval would need a written reason for.
    """

    policy: PolicyView
    proposal: ProposalView | None
    release: int | None
    notices: list[str]
    gate: list[str]

    @classmethod
    def of(cls, answer: PolicyAnswer) -> DoneView:
        """The same."""
        proposal, release = answer.proposal, answer.release
        return cls(
            policy=PolicyView.of(answer.policy),
            proposal=None if proposal is None else ProposalView.of(proposal),
            release=None if release is None else release.release,
            notices=list(answer.notices),
            gate=list(answer.gate),
        )


class GateView(View):
    """What an approval would need a written reason for; empty: it needs none."""

    because: list[str]


class DiffView(View):
    """What is different from one text to another, as `diff -u` says it."""

    policy: int
    against: int
    lines: list[str]


class EntryView(View):
    """An entry of the audit; `before` and `after` as they were recorded."""

    sequence: int
    at_ms: int
    person: str
    origin: str
    action: str
    subject: str
    before: Any
    after: Any
    why: str
    previous_hash: str
    hash: str

    @classmethod
    def of(cls, entry: AuditEntry) -> EntryView:
        """The same, its JSON read."""
        values = {name: getattr(entry, name) for name in cls.model_fields}
        return cls(
            **values | {"before": _read(entry.before), "after": _read(entry.after)}
        )


class VerifiedView(View):
    """What is wrong with the audit's chain; empty: nothing is."""

    entries: int
    problems: list[str]


class PersonView(View):
    """Whoever has a token of ours, and what they are."""

    name: str
    roles: list[PersonRole]
    created_at_ms: int
    by: str


class TokenView(View):
    """A new token: it is said once, and kept nowhere."""

    name: str
    roles: list[PersonRole]
    token: str


class SelfView(View):
    """Who asks, and what they may do; `notices` belong on every page."""

    name: str
    roles: list[PersonRole]
    rights: list[str]
    notices: list[str]


def _read(written: str) -> Any:
    return json.loads(written) if written else None


def roles_of(roles: Sequence[PersonRole]) -> list[PersonRole]:
    """Roles in the order of their declaration.

    >>> roles_of([PersonRole.ADMIN, PersonRole.VIEWER])
    [<PersonRole.VIEWER: 'viewer'>, <PersonRole.ADMIN: 'admin'>]
    """
    return [role for role in PersonRole if role in roles]


class TripView(View):
    """A rule that the breaker stopped."""

    policy: str
    rule: str
    at_ms: int
    declines: int
    decisions: int
    share: float


class ReplicaView(View):
    """What one process runs; `since_ms` is when it began to run its release."""

    replica: str
    door: str
    process: int
    standing: Standing
    release: int
    policy: str
    candidate: str | None
    list_revision: int
    refused: str
    tripped: list[TripView]
    since_ms: int
    started_at_ms: int
    heard_at_ms: int

    @classmethod
    def of(cls, state: ReplicaState) -> ReplicaView:
        """The same."""
        report = state.report
        own = {"standing", "tripped", "since_ms", "heard_at_ms"}
        told = {n: getattr(report, n) for n in cls.model_fields if n not in own}
        return cls(
            **told,
            standing=state.standing,
            tripped=[TripView(**asdict(trip)) for trip in report.tripped],
            since_ms=state.since_ms,
            heard_at_ms=state.heard_at_ms,
        )


class UnknownReleaseView(View):
    """The topic's release, which is newer than any that this database knows."""

    release: int
    policy: str
    by: str
    why: str
    published_at_ms: int

    @classmethod
    def of(cls, release: PolicyRelease | None) -> UnknownReleaseView | None:
        """The same; None where there is none."""
        if release is None:
            return None
        return cls(**{name: getattr(release, name) for name in cls.model_fields})


class ReplicasView(View):
    """The newest release, and every process that was heard of.

    `unknown` is set after the database was restored from a backup, until a release.
    """

    release: int
    published_at_ms: int
    unknown: UnknownReleaseView | None
    items: list[ReplicaView]
