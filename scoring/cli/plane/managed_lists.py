"""What a control plane holds of the managed lists that a policy names, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoring.core.policy.policy import Policy

UNASKED = "its entries are the control plane's: --control or --database says them"


@dataclass(frozen=True, slots=True)
class ManagedSaid:
    """One managed list: what is known of it, and whether it can act as it is written.

    `held` is None where no control plane was asked.
    """

    name: str
    held: bool | None
    words: str


def managed_said(
    policy: Policy, control: str, database: str, token_file: Path | None
) -> list[ManagedSaid]:
    """Each managed list of a policy, in order of their names.

    A control plane is asked where an option or a setting names one. Raises as
    `control_at`.
    """
    from scoring.cli.options.control import control_at
    from scoring.settings import Settings

    names = sorted(policy.managed)
    settings = Settings()
    named = control or database or settings.control_url
    if not names or not (named or settings.control_database_url.get_secret_value()):
        return [ManagedSaid(name, None, UNASKED) for name in names]
    with control_at(control, database, token_file) as api:
        known = {one["name"]: one for one in api.items("lists")}
    fields = {name: policy.file.lists[name].field for name in names}
    return [_said(name, fields[name], known.get(name)) for name in names]


def _said(name: str, field: str | None, kept: dict[str, object] | None) -> ManagedSaid:
    """What is said of a list.

    >>> _said("stolen", "card", None).words.partition(":")[0]
    'the control plane has none of this name'
    >>> _said("stolen", None, {"count": 1200, "revision": 4, "field": "card"}).words
    '1,200 entries, revision 4'
    """
    if kept is None:
        made = f"`scoring lists create {name} --field {field or '…'}` makes it"
        words = f"the control plane has none of this name: it would be empty; {made}"
        return ManagedSaid(name, held=False, words=words)
    if field is not None and kept["field"] != field:
        told = f"the control plane's is of {kept['field']}, the policy asks {field}"
        return ManagedSaid(name, held=False, words=f"{told}: nothing could be on it")
    words = f"{kept['count']:,} entries, revision {kept['revision']}"
    return ManagedSaid(name, held=True, words=words)
