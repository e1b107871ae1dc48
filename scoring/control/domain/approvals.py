"""Four eyes: a proposal of one hash for one act, approved by another person, used once.

An approval is of one hash, for one act, is used once, and lapses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.people import Doing, Right
from scoring.control.domain.policy_life import PROPOSABLE, PolicyVersion
from scoring.control.domain.wordings import checked_why
from scoring.errors import Denied, InvalidTransaction, NotPossible


class Act(StrEnum):
    """What a version is proposed for."""

    RELEASE = "release"  # it decides
    CANDIDATE = "candidate"  # it decides a share of payments
    SHADOW = "shadow"  # its outcome is recorded only


class ProposalStage(StrEnum):
    """Where a proposal is."""

    OPEN = "open"
    APPROVED = "approved"
    USED = "used"
    REJECTED = "rejected"
    VOID = "void"  # the version was rejected or retired before it was used


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyProposal:
    """A version proposed for an act; once approved, the approval of it.

    `share` is of payments, and of a candidate alone. `backtest` is the backtest that
    it carries. `used_by` is the release that used it.
    """

    number: int
    policy: int
    version: str
    act: Act
    share: float | None
    backtest: int | None
    by: str
    at_ms: int
    why: str
    stage: ProposalStage = ProposalStage.OPEN
    decided_by: str = ""
    decided_at_ms: int | None = None
    reason: str = ""
    lapses_at_ms: int | None = None
    used_by: int | None = None

    @property
    def asked(self) -> str:
        """What it is for, in words."""
        share = "" if self.share is None else f" with a share of {self.share:g}"
        return f"{self.act}{share}"


def proposed(
    number: int,
    policy: PolicyVersion,
    asked: tuple[Act, float | None],
    backtest: int | None,
    doing: Doing,
) -> PolicyProposal:
    """A proposal; raises `NotPossible`, and `InvalidTransaction` for a wrong share."""
    doing.person.needs(Right.WRITE_POLICY)
    act, share = asked
    if policy.state not in PROPOSABLE:
        raise NotPossible(
            f"version {policy.number} is {policy.state}; draft a new one based on it"
        )
    checked_share(act, share)
    return PolicyProposal(
        number=number,
        policy=policy.number,
        version=policy.version,
        act=act,
        share=share,
        backtest=backtest,
        by=doing.person.name,
        at_ms=doing.at_ms,
        why=checked_why(doing.why),
    )


def checked_share(act: Act, share: float | None) -> None:
    """Raise `InvalidTransaction` unless a candidate, and it alone, has a share."""
    if act is not Act.CANDIDATE:
        if share is not None:
            raise InvalidTransaction("share", "only a candidate has a share")
    elif share is None or not 0 < share < 1:
        raise InvalidTransaction(
            "share", "a candidate decides a share above 0 and below 1; 0.05 is 5 %"
        )


def approved(
    proposal: PolicyProposal,
    written_by: frozenset[str],
    because: tuple[str, ...],
    rules: ControlRules,
    doing: Doing,
) -> PolicyProposal:
    """The approval of a proposal.

    `written_by` is everybody who wrote or edited any part of the version. `because`
    is what the gate asks a written reason for; empty where it asks for none. Raises
    `Denied`, `NotPossible` and `ReasonRequired`.
    """
    person = doing.person
    person.needs(Right.APPROVE)
    _still_open(proposal)
    if person.name in written_by and not rules.single_user:
        raise Denied(
            f"{person.name} wrote or edited a part of {proposal.version}; another "
            "person approves it"
        )
    return replace(
        proposal,
        stage=ProposalStage.APPROVED,
        decided_by=person.name,
        decided_at_ms=doing.at_ms,
        reason=checked_why(doing.why, because=because),
        lapses_at_ms=doing.at_ms + rules.approval_ms,
    )


def rejected(
    proposal: PolicyProposal, written_by: frozenset[str], doing: Doing
) -> PolicyProposal:
    """A proposal refused by an approver, or withdrawn by an author of the version."""
    if doing.person.name not in written_by:
        doing.person.needs(Right.APPROVE)
    _still_open(proposal)
    because = ("the author has to know what to change",)
    return replace(
        proposal,
        stage=ProposalStage.REJECTED,
        decided_by=doing.person.name,
        decided_at_ms=doing.at_ms,
        reason=checked_why(doing.why, because=because),
    )


def _still_open(proposal: PolicyProposal) -> None:
    if proposal.stage is not ProposalStage.OPEN:
        raise NotPossible(f"proposal {proposal.number} is {proposal.stage} already")


def usable(
    proposals: Iterable[PolicyProposal],
    policy: PolicyVersion,
    asked: tuple[Act, float | None],
    *,
    at_ms: int,
) -> PolicyProposal:
    """The approval of exactly this version for exactly this; raises `NotPossible`."""
    act, share = asked
    of_it = [
        each
        for each in proposals
        if (each.policy, each.version) == (policy.number, policy.version)
        and (each.act, each.share) == (act, share)
    ]
    for each in of_it:
        if each.stage is ProposalStage.APPROVED and at_ms < (each.lapses_at_ms or 0):
            return each
    what = act if share is None else f"{act} with a share of {share:g}"
    raise NotPossible(
        f"version {policy.number} ({policy.version}) has no approval to be used for: "
        f"{what}; {_why_none(of_it)}"
    )


def _why_none(proposals: list[PolicyProposal]) -> str:
    if not proposals:
        return "propose it for that"
    last = max(proposals, key=lambda each: each.number)
    if last.stage is ProposalStage.APPROVED:
        return f"the approval of {last.decided_by} has lapsed: propose it again"
    if last.stage is ProposalStage.OPEN:
        return f"proposal {last.number} waits for its approval"
    return f"proposal {last.number} is {last.stage}: propose it again"


def used(approval: PolicyProposal, release: int) -> PolicyProposal:
    """The approval after a release; it cannot be used again."""
    return replace(approval, stage=ProposalStage.USED, used_by=release)


def ended(proposals: Iterable[PolicyProposal]) -> list[PolicyProposal]:
    """Proposals and approvals of a version that ended before they were used."""
    return [
        replace(each, stage=ProposalStage.VOID)
        for each in proposals
        if each.stage in {ProposalStage.OPEN, ProposalStage.APPROVED}
    ]
