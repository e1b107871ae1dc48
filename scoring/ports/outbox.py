"""The outbox: decisions on their way to the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class Outbox(Protocol):
    """What is recorded and not in the log. Raises as `ports.store` says."""

    def outbox_pages(
        self, *, count: int
    ) -> AsyncIterator[list[tuple[str, str, bytes]]]:
        """What is recorded but unpublished, (tenant, id, logged bytes), in pages of
        about `count`.

        What is there from the first page to the last comes at least once.
        """
        ...

    async def lease(self, name: str, holder: str, *, for_s: float) -> bool:
        """Whether a task of all processes is `holder`'s for the next seconds.

        It is where nobody else's is; asking again renews it. No fence: two may
        believe so for a moment.
        """
        ...

    async def clear_outbox(self, keys: Sequence[tuple[str, str]]) -> None:
        """Remove from the outbox what the log has acknowledged."""
        ...
