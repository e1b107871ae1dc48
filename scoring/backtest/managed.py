"""What managed lists hold, for a backtest: as kept by a control plane, or a replica.

The control plane keeps since when a token is listed, so that a payment meets the
entries of its own time. A replica keeps hashes and ends alone: its lists are asked as
they are now. What was taken off a list is in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scoring.core.policy.dated_lists import DatedList, DatedLists
from scoring.core.policy.policy import Policy
from scoring.core.release.list_release import token_hash
from scoring.errors import BadArtifact, NotFound

if TYPE_CHECKING:
    from scoring.control.database.unit_of_work import UnitOfWork
    from scoring.lists.managed import ManagedList

HASH_SQL = "managed_token_hash"  # the function by which hashed lists are asked


@dataclass(frozen=True, slots=True)
class ManagedTokens:
    """One managed list as of a revision.

    `rows` has the columns token (a text, or where `hashed` its 64 bits), since and
    until: event times, ms, between which each is listed. `dated`: since is when each
    was put there; else it is 0.
    """

    name: str
    revision: int
    rows: pa.Table
    hashed: bool
    dated: bool

    def always(self) -> ManagedTokens:
        """The same, each entry as if it had always been there."""
        since = pa.array(np.zeros(len(self.rows), np.int64))
        rows = self.rows.set_column(1, "since", since)
        return ManagedTokens(self.name, self.revision, rows, self.hashed, dated=False)

    @property
    def dated_list(self) -> DatedList:
        """The same, as one payment at a time asks it."""
        tokens, since, until = (column.to_pylist() for column in self.rows.columns)
        hashes = tokens if self.hashed else map(token_hash, tokens)
        return DatedList.of(zip(hashes, since, until, strict=True))

    @property
    def told(self) -> dict[str, Any]:
        """What a result says of it."""
        since = self.rows["since"].to_numpy() if self.dated else None
        first = None if since is None or not len(since) else int(since.min())
        return {
            "list": self.name,
            "revision": self.revision,
            "entries": len(self.rows),
            "as_of": "each payment's time" if self.dated else "now",
            "first_added_ms": first,
        }


@dataclass(frozen=True, slots=True)
class KnownLists:
    """The managed lists that a backtest knows; `told` is where they are kept."""

    lists: Mapping[str, ManagedTokens]
    told: str = ""

    def always(self) -> KnownLists:
        """The same, each entry as if it had always been there."""
        found = {name: held.always() for name, held in self.lists.items()}
        return KnownLists(found, self.told)

    def needed(self, name: str) -> ManagedTokens:
        """A list; raises `BadArtifact` where its entries are not known.

        An unknown list is never an empty one: its rules would silently not hold.
        """
        if name in self.lists:
            return self.lists[name]
        where = f"{self.told} has none of this name" if self.told else "none is named"
        raise BadArtifact(
            f"list {name!r} is managed, and where its entries are kept is not known: "
            f"{where}; name the control plane's database by --database or --control, "
            "or a SCORING_STATE_DIR in which a replica keeps its lists"
        )

    def dated(self, names: Iterable[str]) -> DatedLists:
        """These lists, each entry from when it was added; raises as `needed`."""
        found = {name: self.needed(name) for name in names}
        revision = max((held.revision for held in found.values()), default=0)
        return DatedLists(revision, {name: h.dated_list for name, h in found.items()})


NO_LISTS = KnownLists({})


def list_line(told: Mapping[str, Any]) -> str:
    """A list in words, of what a result says of it."""
    line = f"list {told['list']} as of revision {told['revision']}: "
    line += f"{told['entries']:,} entries, asked as of {told['as_of']}"
    if told["first_added_ms"] is not None:
        added = datetime.fromtimestamp(max(told["first_added_ms"], 0) / 1_000, UTC)
        line += f"; the first of them was added on {added.date().isoformat()}"
    return line


def names_of(policies: Iterable[Policy]) -> list[str]:
    """The managed lists that some policies name, in order."""
    return sorted({name for policy in policies for name in policy.managed})


def lists_in_database(work: UnitOfWork, names: Iterable[str]) -> KnownLists:
    """The lists of a control plane, of those named what there is; blocks."""
    found: dict[str, ManagedTokens] = {}
    for name in names:
        try:
            info = work.lists.named(name)
        except NotFound:
            continue
        rows = [
            (entry.token, entry.added_at_ms, entry.until_ms)
            for entry in work.lists.all_entries(name)
        ]
        columns = list(zip(*rows, strict=True)) or [(), (), ()]
        types = (pa.string(), pa.int64(), pa.int64())
        arrays = [pa.array(c, t) for c, t in zip(columns, types, strict=True)]
        table = pa.table(dict(zip(("token", "since", "until"), arrays, strict=True)))
        found[name] = ManagedTokens(name, info.revision, table, False, dated=True)
    return KnownLists(found, "the control plane's database")


def lists_in_directory(directory: Path, names: Iterable[str]) -> KnownLists:
    """The lists that a replica keeps in its state directory, of those named.

    Raises `BadArtifact` where one is damaged.
    """
    from scoring.lists.files import ListFiles

    files = ListFiles(directory)
    there = set(files.names())
    found: dict[str, ManagedTokens] = {}
    for name in names:
        if name not in there:
            continue
        _, managed, _ = files.last_good(name)
        until = dict(_base(managed))
        until |= managed.changed
        table = pa.table(
            {
                "token": pa.array(list(until), pa.uint64()),
                "since": pa.array(np.zeros(len(until), np.int64)),
                "until": pa.array(list(until.values()), pa.int64()),
            }
        )
        found[name] = ManagedTokens(name, managed.revision, table, True, dated=False)
    return KnownLists(found, f"{directory}")


def _base(managed: ManagedList) -> Iterator[tuple[int, int]]:
    if managed.base is None:
        return iter(())
    try:
        hashes, ends = managed.base.entries()
    except OSError as error:
        raise BadArtifact(f"{managed.base.path}: cannot be read: {error}") from error
    return zip(hashes.tolist(), ends.tolist(), strict=True)


def prepare(con: Any) -> None:
    """Make the function by which hashed lists are asked, on a connection."""

    def hashed(tokens: pa.Array) -> pa.Array:
        told = [None if t is None else token_hash(t) for t in tokens.to_pylist()]
        return pa.array(told, pa.uint64())

    con.create_function(HASH_SQL, hashed, ["VARCHAR"], "UBIGINT", type="arrow")
