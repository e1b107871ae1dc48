"""Dated lists in a replay's state directory: it writes them, its service asks them."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from scoring.core.policy.dated_lists import DatedList, DatedLists
from scoring.errors import BadArtifact

_NAME = "dated-lists.npz"
_REVISION = "revision"
_COLUMNS = (("hashes", np.uint64), ("since", np.int64), ("until", np.int64))


def keep_dated_lists(lists: DatedLists, directory: Path) -> None:
    """Write the lists, if any, into a state directory that no service reads yet."""
    if not lists.lists:
        return
    columns = {
        f"{name}.{column}": np.array(getattr(held, column), kind)
        for name, held in lists.lists.items()
        for column, kind in _COLUMNS
    }
    revision = {_REVISION: np.array(lists.revision)}
    np.savez(directory / _NAME, **revision, **columns)  # type: ignore[arg-type]


def dated_lists_in(directory: Path) -> DatedLists | None:
    """The lists of a state directory, None where there are none; blocks.

    Raises `BadArtifact` for a file that is damaged.
    """
    path = directory / _NAME
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as found:
            # Plain memory: `bisect` looks it up faster than numpy's own numbers.
            columns = {name: memoryview(found[name]) for name in found.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise BadArtifact(f"{path}: is damaged: {error}") from error
    revision = int(np.asarray(columns.pop(_REVISION)))
    names = {name.partition(".")[0] for name in columns}
    lists = {
        name: DatedList(*(columns[f"{name}.{column}"] for column, _ in _COLUMNS))
        for name in names
    }
    return DatedLists(revision, lists)
