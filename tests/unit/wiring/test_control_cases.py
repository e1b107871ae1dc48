"""What works on cases goes on after a failure that nobody foresaw."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from scoring.control.database.database import Database
from scoring.telemetry.control_metrics import ControlMetrics
from scoring.wiring.control_cases import CaseWork


class FailsAtFirst:
    """Work that fails when it is begun, and goes on when it is begun again."""

    def __init__(self):
        self.begun = 0

    async def run(self):
        self.erase_old()
        await asyncio.Event().wait()

    def erase_old(self):
        self.begun += 1
        if self.begun == 1:
            raise ZeroDivisionError("by nobody foreseen")
        return 0


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'control.db'}").migrated()
    yield database
    database.close()


async def test_each_part_begins_again(database, monkeypatch, caplog):
    monkeypatch.setattr("scoring.wiring.supervision._AGAIN_S", 0.0)
    parts = {name: FailsAtFirst() for name in ("look", "intake", "relay")}
    parts["intake"].behind = parts["intake"].unreadable = parts["intake"].missed = 0
    work = CaseWork(database, parts["look"], parts["intake"], parts["relay"])
    tasks = work.begin(ControlMetrics(CollectorRegistry()))
    async with asyncio.timeout(30):
        while not all(part.begun > 1 for part in parts.values()):
            await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    said = [each.getMessage() for each in caplog.records if each.exc_info]
    assert {line.split(" has failed")[0] for line in said} == {
        "the look at cases",
        "the intake of cases",
        "the relay of labels",
    }
