"""Where a command finds the entries of managed lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from scoring.backtest.managed import KnownLists
    from scoring.core.policy.dated_lists import DatedLists
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

    names = names_of(policies)
    if not names:
        return NO_LISTS
    named = database or settings.control_database_url.get_secret_value()
    if named or (settings.state_dir / "control.db").exists():
        from scoring.control.database.unit_of_work import reading
        from scoring.wiring.control_parts import database_from

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


def dated_lists(policy: Policy, database: str = "", *, as_now: bool) -> DatedLists:
    """A policy's managed lists for past payments; says on stderr as of when they are.

    Raises `BadArtifact` where the entries of one are not known.
    """
    from scoring.core.policy.dated_lists import NO_LISTS
    from scoring.settings import Settings

    if not policy.managed:
        return NO_LISTS
    from scoring.backtest.managed import list_line

    known = known_lists(Settings(), database, [policy], as_now=as_now)
    dated = known.dated(sorted(policy.managed))
    for name in sorted(policy.managed):
        typer.echo(f"· {list_line(known.lists[name].told)}", err=True)
    return dated
