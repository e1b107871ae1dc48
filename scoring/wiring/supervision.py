"""Keeps running what goes on beside the requests: nobody awaits it until the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)
_AGAIN_S = 1.0


async def kept_running(what: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run it until cancelled; where it fails or ends, say so and begin it again."""
    while True:
        try:
            await run()
            log.critical("%s has ended by itself; it begins again", what)
        except Exception:
            log.critical("%s has failed; it begins again", what, exc_info=True)
        await asyncio.sleep(_AGAIN_S)
