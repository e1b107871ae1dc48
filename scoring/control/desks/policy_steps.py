"""The steps of a policy's life within one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from scoring.control.database.unit_of_work import UnitOfWork
from scoring.control.desks.releasing import (
    arrangement_in_force,
    next_release,
    put_in_force,
)
from scoring.control.domain import approvals
from scoring.control.domain.approvals import Act, PolicyProposal
from scoring.control.domain.arrangement import Arrangement
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.control_rules import ControlRules
from scoring.control.domain.gate import Backtest, asks_why, best_of
from scoring.control.domain.people import Doing, Right
from scoring.control.domain.policy_life import (
    PolicyState,
    PolicyVersion,
    differing_lines,
)
from scoring.core.release.policy_release import PolicyRelease
from scoring.errors import ChangedMeanwhile, NotPossible

Asked = tuple[Act, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswer:
    """What has become of a version; `notices` belong into every answer.

    `proposal` and `release` are what the action made, where it made one. Of a new
    proposal, `gate` is what its approval would need a written reason for.
    """

    policy: PolicyVersion
    proposal: PolicyProposal | None = None
    release: PolicyRelease | None = None
    notices: tuple[str, ...] = ()
    gate: tuple[str, ...] = ()


def keep_text(
    work: UnitOfWork, earlier: PolicyVersion | None, policy: PolicyVersion, doing: Doing
) -> PolicyAnswer:
    """Keep a draft, new or edited, and what its revision says."""
    if earlier is None:
        work.policies.add(policy)
    else:
        work.policies.save(policy)
    work.policies.add_revision(policy, doing)
    action = "policy.draft" if earlier is None else "policy.edit"
    record(work, action, (earlier, policy), doing)
    return PolicyAnswer(policy=policy)


def changes_since(
    work: UnitOfWork, policy: PolicyVersion, revision: int
) -> tuple[str, ...]:
    """What somebody else changed in a draft since a revision, and who it was."""
    read = work.policies.revision(policy.number, revision)
    now = work.policies.revision(policy.number, policy.revision)
    if read is None or now is None:
        return ()
    said = f"revision {policy.revision} is by {now[1]}"
    return (said, *differing_lines(read[0], now[0]))


def propose(
    work: UnitOfWork,
    policy: PolicyVersion,
    asked: Asked,
    doing: Doing,
    settled: str = "",
) -> tuple[PolicyVersion, PolicyProposal]:
    """Propose a version for an act, with the best backtest of its exact hash.

    `settled` is the settings' version, in force before the first release.
    """
    carried = best_backtest(work, policy.version, settled)
    proposal = approvals.proposed(
        work.policies.next_proposal(),
        policy,
        asked,
        None if carried is None else carried.number,
        doing,
    )
    if policy.state in {PolicyState.DRAFT, PolicyState.APPROVED}:
        policy = moved(work, policy, PolicyState.PROPOSED)
    work.policies.add_proposal(proposal)
    record_decision(work, "policy.propose", proposal, {}, doing)
    return policy, proposal


def best_backtest(work: UnitOfWork, version: str, settled: str) -> Backtest | None:
    """What tells the gate of a version most, of all that is kept by now."""
    return best_of(work.policies.backtests(version), _in_force(work, settled))


def gate_asks(
    work: UnitOfWork, proposal: PolicyProposal, rules: ControlRules, settled: str
) -> tuple[tuple[str, ...], Backtest | None]:
    """What the gate asks a written reason for now, and the backtest that it read.

    Not only the one that the proposal carries: a better one may have been run since,
    or another version have come into force.
    """
    best = best_backtest(work, proposal.version, settled)
    now = _in_force(work, settled)
    return asks_why(proposal.act, proposal.version, best, now, rules), best


def _in_force(work: UnitOfWork, settled: str) -> str:
    kept = work.policies.in_force()
    return settled if kept is None else kept.version


def perform(
    work: UnitOfWork, policy: PolicyVersion, asked: Asked, doing: Doing
) -> PolicyAnswer:
    """Run a version as it was approved; the approval is used by it."""
    arrangement = arrangement_in_force(work)
    act, share = asked
    if is_less(arrangement, policy.number, asked):
        doing.person.needs(Right.ROLL_BACK)
        action = "policy.share"
    else:
        doing.person.needs(Right.RELEASE)
        action = f"policy.{act}"
        of_it = work.policies.proposals(policy=policy.number)
        approval = approvals.usable(of_it, policy, asked, at_ms=doing.at_ms)
        used = approvals.used(approval, next_release(work))
        work.policies.save_proposals([used])
    if act is Act.RELEASE:
        wanted = with_policy(work, arrangement, policy)
        work.policies.save(replace(policy, before=arrangement.policy))
    elif act is Act.CANDIDATE:
        wanted = arrangement.trying(policy.number, share or 0.0)
    else:
        wanted = arrangement.shadowing(policy.number)
    release = put_in_force(work, action, policy.number, wanted, doing)
    return PolicyAnswer(policy=work.policies.policy(policy.number), release=release)


def with_policy(
    work: UnitOfWork, arrangement: Arrangement, policy: PolicyVersion
) -> Arrangement:
    """The version in force; a shadow that means the same ends, as it shows no more."""
    wanted = arrangement.releasing(policy.number)
    versions = {each: work.policies.policy(each).version for each in wanted.shadows}
    for number, version in versions.items():
        if version == policy.version:
            wanted = wanted.stopping(number)
    return wanted


def is_less(arrangement: Arrangement, number: int, asked: Asked) -> bool:
    """Whether a candidate is to decide fewer payments than it does."""
    act, share = asked
    running = arrangement.share
    if act is not Act.CANDIDATE or number != arrangement.candidate:
        return False
    return share is not None and running is not None and 0 < share < running


def arrangement_at(work: UnitOfWork, read: int | None) -> Arrangement:
    """What runs; raises `ChangedMeanwhile` where another release was read."""
    kept = work.policies.in_force()
    now = 0 if kept is None else kept.number
    if read is not None and read != now:
        said = () if kept is None else (f"release {now} is by {kept.by}: {kept.why}",)
        raise ChangedMeanwhile(
            f"release: {now} is in force, you read {read}; read it again", said
        )
    return arrangement_in_force(work)


def as_understood(
    work: UnitOfWork, number: int, understood: PolicyVersion
) -> PolicyVersion:
    """A version, if it is the one that was compiled; raises `ChangedMeanwhile`."""
    policy = work.policies.policy(number)
    if (policy.number, policy.checked) != (understood.number, understood.checked):
        raise ChangedMeanwhile(
            f"version {understood.number} was changed just now; read it again"
        )
    return policy


def returning_to(
    work: UnitOfWork, to: int | None, read: int | None
) -> tuple[Arrangement, int | None, int]:
    """What runs, which version was before it, and to which one a rollback returns."""
    arrangement = arrangement_at(work, read)
    if arrangement.policy is None:
        raise NotPossible("no policy was released yet: nothing to return to")
    before = work.policies.policy(arrangement.policy).before
    target = before if to is None else to
    if target is None:
        raise NotPossible("nothing was in force before this version")
    return arrangement, before, target


def moved(work: UnitOfWork, policy: PolicyVersion, state: PolicyState) -> PolicyVersion:
    """The version in another state, kept so."""
    now = replace(policy, state=state)
    work.policies.save(now)
    return now


def record(
    work: UnitOfWork,
    action: str,
    change: tuple[PolicyVersion | None, PolicyVersion],
    doing: Doing,
) -> None:
    """The audit of a version that became another."""
    before, after = change
    said = Change(
        action=action,
        subject=f"policy {after.number}",
        before=None if before is None else _written(before),
        after=_written(after),
    )
    work.audit.record(said, doing)


def record_decision(
    work: UnitOfWork,
    action: str,
    proposal: PolicyProposal,
    beside: Mapping[str, object],
    doing: Doing,
) -> None:
    """The audit of what was proposed, approved or rejected."""
    after = {
        "proposal": proposal.number,
        "version": proposal.version,
        "for": proposal.asked,
        "stage": proposal.stage.value,
        "backtest": proposal.backtest,
        **beside,
    }
    subject = f"policy {proposal.policy}"
    work.audit.record(Change(action=action, subject=subject, after=after), doing)


def _written(policy: PolicyVersion) -> dict[str, object]:
    return {
        "version": policy.version,
        "state": policy.state.value,
        "revision": policy.revision,
        "authors": sorted(policy.authors),
        "based_on": policy.based_on,
        "text_sha256": sha256(policy.checked.text.encode()).hexdigest(),
    }
