"""Decisions are counted by what made them, and by versions in force alone."""

from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from scoring.core.decision.decision import (
    Degradation,
    DegradationCode,
    Door,
    Outcome,
    Rung,
    Versions,
)
from scoring.pipeline.answer import Decided
from scoring.ports.metrics import outside
from scoring.telemetry.decision_metrics import DecisionMetrics
from scoring.telemetry.prometheus import PrometheusTelemetry


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    made = DecisionMetrics("defs", registry)
    made.model_in_force("m1")
    made.policies_in_force(["p1"])
    return made


def decide(metrics, policy="p1", model="m1", *, first=True, provisional=False, **core):
    known = {"outcome": Outcome.APPROVE, "rung": Rung.FULL, "degradations": ()}
    known |= {"provisional": False, "versions": Versions(model, policy, "defs"), **core}
    metrics.decided(
        [SimpleNamespace(door=Door.GRPC, dry_run=False)],
        [SimpleNamespace(**known)],
        [Decided(b"", Outcome.APPROVE, first=first, provisional=provisional)],
    )


def count(registry, policy="p1", model="m1", provisional="false"):
    return registry.get_sample_value(
        "fraud_decisions_total",
        {
            "outcome": "approve",
            "door": "grpc",
            "provisional": provisional,
            "policy": policy,
            "model": model,
            "definitions": "defs",
        },
    )


def test_a_decision_is_counted_by_the_versions_that_made_it(metrics, registry):
    assert count(registry) == 0
    decide(metrics)
    decide(metrics, first=False)  # a repeat
    assert count(registry) == 1
    assert (
        registry.get_sample_value("fraud_decisions_by_rung_total", {"rung": "full"})
        == 1
    )


def test_two_policies_in_force_are_told_apart(metrics, registry):
    metrics.policies_in_force(["p1", "candidate"])
    decide(metrics, "candidate")
    assert (count(registry), count(registry, "candidate")) == (0, 1)


def test_a_version_is_forgotten_a_change_after_it_was_replaced(metrics, registry):
    decide(metrics)
    metrics.policies_in_force(["p2"])
    assert count(registry) == 1
    decide(metrics)  # it had begun before the swap
    assert count(registry) == 2
    metrics.policies_in_force(["p3"])
    assert count(registry) is None
    decide(metrics)
    assert count(registry, "replaced", "replaced") == 1


def test_a_thousand_releases_leave_no_more_series_than_three(metrics, registry):
    for n in range(1_000):
        metrics.policies_in_force([f"p{n}", f"c{n}"])
        decide(metrics, f"p{n}")
        decide(metrics, "p0")
    shown = generate_latest(registry).decode().splitlines()
    made = [line for line in shown if line.startswith("fraud_decisions_total")]
    assert len(made) <= 4 * 24 + 3


def test_what_was_missing_is_counted_and_so_is_the_record(metrics, registry):
    late = (Degradation(DegradationCode.OUT_OF_TIME, "store"),)
    decide(metrics, provisional=True, degradations=late, rung=Rung.WITHOUT_HISTORY)

    def missing(cause):
        return registry.get_sample_value("fraud_degradations_total", {"cause": cause})

    assert (missing("out_of_time"), missing("not_recorded")) == (1, 1)
    assert missing("model_unavailable") == 0
    assert count(registry, provisional="true") == 1


def test_a_gauge_that_cannot_be_read_is_unknown_and_hides_no_other(registry):
    telemetry = PrometheusTelemetry(registry)
    telemetry.shows(outside.PROVISIONAL, lambda: 1 / 0)
    telemetry.shows(outside.OUTBOX, lambda: None)
    telemetry.shows(outside.SPOOL, lambda: 7)
    for name, shown in (("provisional_decisions", "nan"), ("outbox_decisions", "nan"),
                        ("spool_bytes", "7.0")):  # fmt: skip
        assert str(registry.get_sample_value(f"fraud_{name}")) == shown
