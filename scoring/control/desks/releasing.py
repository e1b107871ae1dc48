"""A change of what the data plane runs: states, audit, release and outbox at once."""

from __future__ import annotations

from dataclasses import replace

from scoring.control.database.policies import KeptRelease
from scoring.control.database.unit_of_work import UnitOfWork
from scoring.control.domain import approvals
from scoring.control.domain.arrangement import Arrangement
from scoring.control.domain.audit_chain import AuditEntry, Change
from scoring.control.domain.people import Doing
from scoring.control.domain.policy_life import PolicyState, PolicyVersion
from scoring.core.release.policy_release import (
    POLICY_KEY,
    CandidateArm,
    PolicyRelease,
    PolicyText,
)
from scoring.errors import NotPossible
from scoring.wire.control_json import (
    release_from_json,
    release_to_json,
    text_to_json,
)


def arrangement_in_force(work: UnitOfWork) -> Arrangement:
    """What runs now; nothing before the first release."""
    kept = work.policies.in_force()
    return Arrangement() if kept is None else kept.arrangement


def next_release(work: UnitOfWork) -> int:
    """The number of the next release, above every one that the topic has shown."""
    kept, unknown = work.policies.in_force(), unknown_release(work)
    if unknown is not None:
        return unknown.release + 1
    return 1 if kept is None else kept.number + 1


def unknown_release(work: UnitOfWork) -> PolicyRelease | None:
    """The topic's release, where it is newer than any that this database knows.

    So it is after the database was restored from a backup, until the next release.
    """
    kept, newest = work.policies.in_force(), work.outbox.newest(POLICY_KEY)
    if newest is None or newest.value is None:
        return None
    release = release_from_json(newest.value)
    known = 0 if kept is None else kept.number
    return release if release.release > known else None


def put_in_force(
    work: UnitOfWork, action: str, subject: int, wanted: Arrangement, doing: Doing
) -> PolicyRelease:
    """Release an arrangement; `action` and `subject` are what the audit says of it."""
    if wanted.policy is None:
        raise NotPossible("no policy was released yet; release one first")
    earlier = arrangement_in_force(work)
    number = next_release(work)
    running = {each: work.policies.policy(each) for each in wanted.states()}
    _told_apart(list(running.values()))
    entry = work.audit.record(
        Change(
            action=action,
            subject=f"policy {subject}",
            before=_written(work, earlier),
            after={"release": number, **(_written(work, wanted) or {})},
        ),
        doing,
    )
    release = _release(number, wanted, running, entry)
    work.policies.add_release(_kept(release, wanted, entry), entry)
    _save_states(work, earlier, wanted)
    _publish(work, release, running)
    return release


def _told_apart(running: list[PolicyVersion]) -> None:
    """Two versions that mean the same could not be told apart in decisions."""
    seen: dict[str, int] = {}
    for policy in running:
        if (other := seen.setdefault(policy.version, policy.number)) != policy.number:
            raise NotPossible(
                f"versions {other} and {policy.number} mean the same "
                f"({policy.version}): they would decide alike"
            )


def _release(
    number: int,
    wanted: Arrangement,
    running: dict[int, PolicyVersion],
    entry: AuditEntry,
) -> PolicyRelease:
    candidate = None
    if wanted.candidate is not None and wanted.share is not None:
        candidate = CandidateArm(running[wanted.candidate].version, wanted.share)
    return PolicyRelease(
        release=number,
        policy=running[wanted.policy or 0].version,
        candidate=candidate,
        shadow=tuple(running[each].version for each in wanted.shadows),
        rearmed=wanted.rearmed,
        by=entry.person,
        why=entry.why,
        published_at_ms=entry.at_ms,
        audit=entry.hash,
    )


def _kept(
    release: PolicyRelease, wanted: Arrangement, entry: AuditEntry
) -> KeptRelease:
    return KeptRelease(
        number=release.release,
        arrangement=wanted,
        version=release.policy,
        by=release.by,
        why=release.why,
        at_ms=release.published_at_ms,
        audit_sequence=entry.sequence,
        audit=entry.hash,
    )


def _save_states(work: UnitOfWork, earlier: Arrangement, wanted: Arrangement) -> None:
    for number, state in wanted.states_since(earlier).items():
        policy = work.policies.policy(number)
        now = replace(policy, state=state)
        if number == wanted.policy:
            now = replace(now, was_in_force=True)
        work.policies.save(now)
        if state is PolicyState.RETIRED:
            of_it = work.policies.proposals(policy=number)
            work.policies.save_proposals(approvals.ended(of_it))


def _publish(
    work: UnitOfWork, release: PolicyRelease, running: dict[int, PolicyVersion]
) -> None:
    """Texts before the release that names them, each once for ever."""
    for policy in running.values():
        text = PolicyText(policy.version, policy.checked.text, policy.checked.reasons)
        if not work.outbox.holds(text.key):
            work.outbox.add(text.key, text_to_json(text))
    work.outbox.add(POLICY_KEY, release_to_json(release))


def _written(work: UnitOfWork, arrangement: Arrangement) -> dict[str, object] | None:
    """An arrangement for the audit: numbers with their hashes."""
    if arrangement.policy is None:
        return None

    def named(number: int | None) -> str | None:
        if number is None:
            return None
        return f"{number} ({work.policies.policy(number).version})"

    return {
        "policy": named(arrangement.policy),
        "candidate": named(arrangement.candidate),
        "share": arrangement.share,
        "shadows": [named(each) for each in arrangement.shadows],
        "rearmed": dict(arrangement.rearmed),
    }
