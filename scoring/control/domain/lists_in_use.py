"""Which lists must stay, because a policy that runs or may run names them."""

from __future__ import annotations

from collections.abc import Iterable

from scoring.control.domain.policy_life import RUNNING, PolicyState, PolicyVersion
from scoring.errors import NotPossible

# An approved version may be released at any moment.
HOLDING = frozenset({*RUNNING, PolicyState.APPROVED})


def deletable(name: str, policies: Iterable[PolicyVersion]) -> None:
    """Raise `NotPossible` while one of these versions names the list.

    >>> deletable("blocked_cards", [])
    """
    numbers = sorted(p.number for p in policies if name in p.checked.lists)
    if numbers:
        named = ", ".join(map(str, numbers))
        raise NotPossible(
            f"list {name!r} is named by version {named} of the policy, which runs, is "
            "approved, or is what a rollback returns to; release one without it first"
        )
