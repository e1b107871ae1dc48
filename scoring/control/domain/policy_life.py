"""A policy version from draft to retired, and who wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import unified_diff
from enum import StrEnum

from scoring.control.domain.people import Doing, Person, Right
from scoring.errors import ChangedMeanwhile, NotPossible


class PolicyState(StrEnum):
    """Where a version is in its life."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    REJECTED = "rejected"
    APPROVED = "approved"
    LIVE = "live"
    SHADOW = "shadow"
    RETIRED = "retired"


RUNNING = frozenset({PolicyState.LIVE, PolicyState.SHADOW})
PROPOSABLE = frozenset(
    {PolicyState.DRAFT, PolicyState.PROPOSED, PolicyState.APPROVED, *RUNNING}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedText:
    """A policy text that was found good, with what it means.

    `version` is the hash of its meaning; `reasons` its table of reasons, None the
    shipped one; `lists` the lists that it names.
    """

    text: str
    reasons: str | None
    version: str
    name: str
    lists: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """A numbered version: a text, its life, and all who wrote or edited any part of it.

    `revision` rises with each edit. `based_on` is the version that it was drafted
    from; `before` the one that was in force when this one was released, to which a
    rollback returns. `was_in_force`: it decided at some time, whole.
    """

    number: int
    checked: CheckedText
    state: PolicyState
    revision: int
    authors: frozenset[str]
    based_on: int | None
    created_at_ms: int
    why: str
    before: int | None = None
    was_in_force: bool = False

    @property
    def version(self) -> str:
        """The hash of what it means: what an approval is of."""
        return self.checked.version


def drafted(
    number: int,
    checked: CheckedText,
    base: PolicyVersion | None,
    doing: Doing,
) -> PolicyVersion:
    """A new draft.

    What a base holds that was never in force had no second person yet: its authors
    are authors of the draft, too.
    """
    doing.person.needs(Right.WRITE_POLICY)
    inherited = base.authors if base and not base.was_in_force else frozenset[str]()
    return PolicyVersion(
        number=number,
        checked=checked,
        state=PolicyState.DRAFT,
        revision=1,
        authors=inherited | {doing.person.name},
        based_on=None if base is None else base.number,
        created_at_ms=doing.at_ms,
        why=doing.why,
    )


def edited(
    policy: PolicyVersion, checked: CheckedText, person: Person, *, revision: int
) -> PolicyVersion:
    """A draft with another text; `revision` is the one that the person read.

    Raises `NotPossible` unless it is a draft, `ChangedMeanwhile` for another revision.
    """
    person.needs(Right.WRITE_POLICY)
    if revision != policy.revision:
        raise ChangedMeanwhile(
            f"revision: {policy.state} {policy.number} is at revision "
            f"{policy.revision}, you read {revision}; read it again and repeat your "
            "change"
        )
    if policy.state is not PolicyState.DRAFT:
        raise NotPossible(
            f"version {policy.number} is {policy.state} and never changes; edit a "
            "draft based on it"
        )
    return replace(
        policy,
        checked=checked,
        revision=policy.revision + 1,
        authors=policy.authors | {person.name},
    )


def differing_lines(read: str, now: str) -> tuple[str, ...]:
    """What is different between two texts, line by line, as `diff -u` says it.

    >>> differing_lines("a\\nb\\n", "a\\nc\\n")
    ('@@ -2 +2 @@', '-b', '+c')
    """
    lines = unified_diff(read.splitlines(), now.splitlines(), lineterm="", n=0)
    return tuple(lines)[2:]


def differing(read: CheckedText, now: CheckedText) -> tuple[str, ...]:
    """What is different between two versions: their texts, then their reasons' tables.

    The installation's table, where a version has none of its own, counts as empty.
    """
    tables = differing_lines(read.reasons or "", now.reasons or "")
    heading = ("its table of reasons:",) if tables else ()
    return (*differing_lines(read.text, now.text), *heading, *tables)


def restored(number: int, content: PolicyVersion, doing: Doing) -> PolicyVersion:
    """A new version with the content of one that was in force before.

    It takes that version's place: what was before it, is before this one. So rolling
    back twice goes back twice, and never forth again to what was left.
    """
    doing.person.needs(Right.ROLL_BACK)
    if not content.was_in_force:
        raise NotPossible(
            f"version {content.number} was never in force; propose it instead"
        )
    return PolicyVersion(
        number=number,
        checked=content.checked,
        state=PolicyState.PROPOSED,
        revision=1,
        authors=frozenset({doing.person.name}),
        based_on=content.number,
        created_at_ms=doing.at_ms,
        why=doing.why,
        before=content.before,
    )


def writers(versions: Iterable[PolicyVersion]) -> frozenset[str]:
    """All who wrote or edited any part of versions of one hash.

    One who wrote the same text elsewhere has written this one.
    """
    return frozenset().union(*(policy.authors for policy in versions))
