"""A process that follows what is in force says so where it does no more."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace

from scoring.wiring.releases import Following


async def test_a_failure_that_nobody_foresaw_is_told_at_once(monkeypatch, caplog):
    async def fails(_self):
        raise RuntimeError("planted")

    def running(*, counts):
        return nullcontext(counts)

    monkeypatch.setattr(Following, "_follow_file", fails)
    monkeypatch.setattr(Following, "_shown", lambda _self: None)
    policies = SimpleNamespace(released=False, settings=SimpleNamespace(breaker=False))
    scorer = SimpleNamespace(breaker=SimpleNamespace(running=running))
    following = Following(policies, scorer, None, 0)
    async with following.running():
        await asyncio.sleep(0.01)
        assert "planted" in caplog.text
