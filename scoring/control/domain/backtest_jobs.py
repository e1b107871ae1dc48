"""A backtest that the control plane runs: what was asked, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from scoring.errors import NotPossible

WAITING_MAX = 20  # of all people together; each takes up to minutes
INTERRUPTED = "interrupted: the process that ran it ended; ask for it again"
_EPS = 1e-4  # a share that moved by less is not worth a write


class JobState(StrEnum):
    """Where a backtest is; the last three are its end."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = frozenset({JobState.QUEUED, JobState.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedText:
    """A version as it was when the backtest was asked for.

    `policy` is its number, None for a draft's text or the settings' own; `rule` is a
    rule that is added to it, "" for none.
    """

    version: str
    text: str
    reasons: str | None = None
    policy: int | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestScope:
    """Which payments are judged, and how; as the command's options of these names."""

    days: int = 90
    label_delay_days: int | None = None
    tenant: str = ""
    rolled_out: bool = False
    lists_as_now: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestJob:
    """One backtest: `done` is the share of its `stage`, `failed` why it failed.

    `holder` is the copy of the control plane that runs it, or ran it.
    """

    number: int
    new: JudgedText
    old: JudgedText
    scope: BacktestScope
    by: str
    origin: str
    at_ms: int
    why: str = ""
    state: JobState = JobState.QUEUED
    stage: str = ""
    done: float = 0.0
    holder: str = ""
    failed: str = ""
    started_at_ms: int | None = None
    ended_at_ms: int | None = None

    @property
    def is_report(self) -> bool:
        """Whether a version is judged against itself: what it does is reported then."""
        return self.new.version == self.old.version

    def begun(self, holder: str, at_ms: int) -> BacktestJob:
        """The same, running in a copy."""
        return replace(self, state=JobState.RUNNING, holder=holder, started_at_ms=at_ms)

    def ended(self, state: JobState, at_ms: int, failed: str = "") -> BacktestJob:
        """The same at its end; raises `NotPossible` where it has ended already."""
        if self.state not in OPEN:
            raise NotPossible(f"backtest {self.number} is {self.state} already")
        done = 1.0 if state is JobState.DONE else self.done
        return replace(self, state=state, ended_at_ms=at_ms, failed=failed, done=done)

    def moved(self, stage: str, done: float) -> BacktestJob | None:
        """The same further on; None where that is nothing new."""
        if stage == self.stage and abs(done - self.done) < _EPS:
            return None
        return replace(self, stage=stage, done=min(max(done, 0.0), 1.0))


def queued(waiting: int) -> None:
    """Raise `NotPossible` where too many wait already.

    >>> queued(0)
    """
    if waiting >= WAITING_MAX:
        raise NotPossible(
            f"{waiting} backtests wait already; cancel one, or ask when they are done"
        )
