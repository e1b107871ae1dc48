"""Which lists must stay, because a policy that runs or may run names them."""

from __future__ import annotations

from collections.abc import Iterable

from scoring.control.domain.policy_life import RUNNING, PolicyState, PolicyVersion
from scoring.errors import NotPossible

# An approved version may be released at any moment.
HOLDING = frozenset({*RUNNING, PolicyState.APPROVED})


def kept_for(name: str, policies: Iterable[PolicyVersion]) -> list[int]:
    """The numbers of the versions for which a list must stay."""
    return sorted(
        policy.number
        for policy in policies
        if policy.state in HOLDING and name in policy.checked.lists
    )


def deletable(name: str, policies: Iterable[PolicyVersion]) -> None:
    """Raise `NotPossible` while a version that runs or is approved names the list.

    >>> deletable("blocked_cards", [])
    """
    if numbers := kept_for(name, policies):
        named = ", ".join(map(str, numbers))
        raise NotPossible(
            f"list {name!r} is named by version {named} of the policy, which runs or "
            "is approved; release one without it first"
        )
