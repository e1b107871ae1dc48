"""What runs beside the requests is begun again when it fails, and it is said."""

from __future__ import annotations

import asyncio

import pytest

from scoring.wiring.supervision import kept_running


@pytest.mark.parametrize("error", [ZeroDivisionError("by nobody foreseen"), None])
async def test_what_fails_or_ends_is_told_and_begins_again(monkeypatch, caplog, error):
    monkeypatch.setattr("scoring.wiring.supervision._AGAIN_S", 0.0)
    begun, again = [], asyncio.Event()

    async def run():
        begun.append(1)
        if len(begun) == 1:
            if error:
                raise error
            return
        again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(kept_running("the relay", run))
    async with asyncio.timeout(5):
        await again.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (said,) = [each for each in caplog.records if each.levelname == "CRITICAL"]
    assert said.getMessage().startswith("the relay has ")
    assert bool(said.exc_info) == bool(error)
