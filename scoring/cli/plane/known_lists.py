"""Where a command finds the entries of managed lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoring.backtest.managed import KnownLists
    from scoring.core.policy.policy import Policy
    from scoring.settings import Settings


def known_lists(
    settings: Settings, database: str, policies: Sequence[Policy], *, as_now: bool
) -> KnownLists:
    """The managed lists that some policies name, as far as they are known here.

    From the control plane's database where one is named or lies in the state directory,
    else as a replica keeps them there. With `as_now` an entry counts for payments of
    before it was added, too. Raises `BadArtifact` and `DatabaseUnavailable`.
    """
    from scoring.backtest.managed import (
        NO_LISTS,
        lists_in_database,
        lists_in_directory,
        names_of,
    )
    from scoring.control.database.unit_of_work import reading
    from scoring.wiring.control_parts import database_from

    names = names_of(policies)
    if not names:
        return NO_LISTS
    named = database or settings.control_database_url.get_secret_value()
    if named or (settings.state_dir / "control.db").exists():
        opened = database_from(settings, database)
        try:
            with reading(opened) as work:
                found = lists_in_database(work, names)
        finally:
            opened.close()
    elif (settings.state_dir / "lists").is_dir():
        found = lists_in_directory(settings.state_dir / "lists", names)
    else:
        return NO_LISTS
    return found.always() if as_now else found
