"""What the control plane shows of its lists."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from control_parts import FAY, Clock
from prometheus_client import CollectorRegistry

from scoring.control.api.import_jobs import ImportJobs
from scoring.control.database.database import Database
from scoring.control.desks.list_desk import EntryWish, ListDesk
from scoring.control.domain.people import By
from scoring.errors import BadArtifact
from scoring.telemetry.control_metrics import ControlMetrics
from scoring.wiring import control_upkeep

BY_FAY = By(FAY, "of a test")


@pytest.fixture
def plane(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(control_upkeep, "now_ms", clock)
    database = Database(f"sqlite:///{tmp_path / 'control.db'}").migrated()
    lists = ListDesk(database, clock)
    yield SimpleNamespace(
        database=database, clock=clock, lists=lists, jobs=ImportJobs()
    )
    database.close()


@pytest.fixture
def shown(plane):
    registry = CollectorRegistry()
    metrics = ControlMetrics(registry)

    def look(name, **labels):
        control_upkeep.look_at_lists(plane, metrics)
        return registry.get_sample_value(f"fraud_control_list_{name}", labels)

    return look


def test_each_list_shows_its_entries_and_the_age_of_its_last_change(plane, shown):
    for name in ("stolen", "odd"):
        plane.lists.create(BY_FAY, name, kind="block", field="card")
    plane.clock.days(1)
    plane.lists.put(BY_FAY, "stolen", EntryWish(token="c1"))  # noqa: S106 - a card's
    plane.clock.days(1)
    assert [shown("entries", list=n) for n in ("stolen", "odd")] == [1, 0]
    assert [shown("changed_seconds", list=n) for n in ("stolen", "odd")] == [
        86_400,
        2 * 86_400,
    ]
    plane.lists.delete(By(FAY, "no more"), "odd")
    assert shown("entries", list="odd") is None


def test_an_import_that_fails_is_counted_and_none_runs_then(plane, shown):
    def refused(_tell):
        raise BadArtifact("a.csv:1: token: there is none")

    assert shown("imports", import_state="failed") == 0
    with pytest.raises(BadArtifact):
        plane.jobs.done(1, refused, wait_s=30)
    assert shown("imports", import_state="failed") == 1
    assert shown("imports", import_state="running") == 0
