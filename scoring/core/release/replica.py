"""What a replica says of itself: which release it runs, and what it refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trip:
    """A rule that the breaker stopped: `share` of `decisions` were its declines."""

    policy: str
    rule: str
    at_ms: int
    declines: int
    decisions: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaReport:
    """What one process of the data plane runs at an instant; times are wall clock, ms.

    `release` is 0 where none was ever taken: a file decides. `refused` says why the
    newest release was not taken, "" where it was. `ended` is said once, by a process
    that ends as it should.
    """

    replica: str
    door: str
    process: int
    started_at_ms: int
    at_ms: int
    policy: str
    candidate: str | None = None
    release: int = 0
    list_revision: int = 0
    refused: str = ""
    tripped: tuple[Trip, ...] = ()
    ended: bool = False
