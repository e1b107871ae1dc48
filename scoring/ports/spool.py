"""The spool: where provisional answers outlive their process."""

from __future__ import annotations

from typing import Protocol


class Spool(Protocol):
    """A bounded local place for provisional answers, which outlives the process."""

    @property
    def bytes_used(self) -> int:
        """What it keeps now."""
        ...

    def append(self, logged: bytes) -> bool:
        """Keep one logged Decision; False where it was not taken."""
        ...

    def take_over(self) -> list[bytes]:
        """What a process that has ended kept here, oldest first; blocks.

        One of them at a time: nothing where none is left. It stays until `clear`.
        """
        ...

    def clear(self) -> None:
        """Forget everything: all of it was reconciled."""
        ...

    def close(self) -> None:
        """Leave what was not cleared to whoever takes it over."""
        ...
