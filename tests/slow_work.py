"""Finds what is slow while somebody writes: everybody else waits for the database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sqlalchemy import Connection

from scoring.control.database.database import Database

# Parsing YAML, compiling and checking a policy, reading a file of a list.
_SLOW_ROOMS = (
    "/yaml/",
    "/core/policy/policy",  # the file, its problems, what it becomes
    "/core/policy/reasons",
    "/core/policy/rules/",
    "/control/desks/policy_texts.py",  # it may remember: then the rooms above are quiet
    "/control/domain/list_file.py",
)


def watched(database: Database) -> Database:
    """The database itself; a transaction that writes and does slow work fails."""
    writing = database.writing

    @contextmanager
    def watching() -> Iterator[Connection]:
        slow: set[str] = set()
        before = sys.getprofile()

        def called(frame: FrameType, event: str, _: object) -> None:
            code = frame.f_code
            if event == "call" and any(r in code.co_filename for r in _SLOW_ROOMS):
                slow.add(f"{code.co_filename}:{code.co_name}")

        with writing() as connection:
            sys.setprofile(called)
            try:
                yield connection
            finally:
                sys.setprofile(before)
        assert not slow, f"slow work while others wait to write: {sorted(slow)}"

    database.writing = watching  # type: ignore[method-assign]
    return database
