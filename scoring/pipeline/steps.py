"""The steps of an answer on its way to the log, by name: a test may end us at each.

A process can die anywhere. What it owes then depends on which of these steps it had
reached, so they are listed, and a test kills real processes at every one of them. No
setting and no variable of the environment reaches this: only who imports the module
can `watch`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum


class Step(Enum):
    """Where an answer has come, in the order of its way."""

    OBSERVED = "counted by the store, not decided"
    DECIDED = "decided, not recorded"
    RECORDED = "in the record and its outbox, not handed on"
    SPOOLING = "decided without the store, not in the spool"
    SPOOLED = "in the spool, not handed on"
    HANDED_ON = "waits for the relay, not replied"
    SENDING = "taken up by the relay, not sent"
    SENT = "sent to the log, not acknowledged"
    LOGGED = "in the log, its outbox entry not cleared"
    CLEARED = "its outbox entry cleared"
    TAKEN_OVER = "found in the spool of a process that ended"
    RECONCILING = "the store has recovered, not yet asked to record"
    RECONCILED = "in the record and its outbox, still in the spool"
    SPOOL_CLEARED = "out of the spool"
    ORPHAN_FOUND = "found in the outbox, left by another process; not sent"
    ORPHAN_RELAYED = "in the log by the relay, its outbox entry not cleared"


def _nobody(_: Step) -> None:
    """Nobody watches."""


_watcher: Callable[[Step], None] = _nobody


def watch(watcher: Callable[[Step], None]) -> None:
    """Have each step told from now on, in this process."""
    global _watcher  # noqa: PLW0603 - the one place that a test reaches in by
    _watcher = watcher


def reached(step: Step) -> None:
    """Say that an answer has come so far."""
    _watcher(step)
