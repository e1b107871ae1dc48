"""What a door wants of the pipeline: given once, by its wiring."""

from __future__ import annotations

from dataclasses import dataclass

from scoring.ports.patience import StorePatience


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOptions:
    """How a door waits for the store, and what it keeps of its decisions.

    With `outbox` a decision leaves an entry there, from which a relay carries it to
    the log; without one nobody would empty it. With `log` a decision is encoded for
    the log. The records of the stream door are encoded always and leave no entry: its
    own input log carries them over a crash.
    """

    patience: StorePatience = StorePatience.ANSWER_IN_TIME
    outbox: bool = True
    log: bool = True
