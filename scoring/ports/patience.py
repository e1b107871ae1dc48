"""What a store does for its callers while a part of it is unavailable."""

from __future__ import annotations

from enum import Enum


class StorePatience(Enum):
    """Whether somebody waits for the answer, and must have it in time."""

    WAIT = "wait"  # nobody waits: all of it, or `StoreUnavailable`; repeating is safe
    ANSWER_IN_TIME = "answer in time"  # a caller waits: what is known by then
