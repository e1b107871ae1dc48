"""Metrics and events are closed sets: what is not declared cannot be counted."""

import ast
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

import scoring
from scoring.models.drift import _gauges
from scoring.ports.events import Event
from scoring.ports.metrics import METRICS, MetricKind, Unit
from scoring.telemetry.control_metrics import ControlMetrics
from scoring.telemetry.page import metrics_page
from scoring.telemetry.prometheus import PrometheusTelemetry

ROOT = Path(__file__).parents[3]
PACKAGE = Path(scoring.__file__).parent
SOURCES = [path for path in PACKAGE.rglob("*.py") if "v1" not in path.parts]
MAKERS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "GaugeMetricFamily"}
CLIENTS = ("prometheus_client", "prometheus_client.core")


def trees():
    for path in SOURCES:
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


def test_an_event_that_is_not_declared_cannot_be_counted():
    telemetry = PrometheusTelemetry(CollectorRegistry())
    telemetry.count(Event.STORE_UNAVAILABLE)
    with pytest.raises(KeyError):
        telemetry.count("made_up")


def test_nothing_counts_an_event_by_a_text():
    """The type checker refuses it as well; this names the place."""
    counting = [
        f"{name}:{node.lineno}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "count"
        and "telemetry" in ast.unparse(node.func)
        and any(isinstance(n, ast.Constant) and isinstance(n.value, str)
                for n in ast.walk(node))
    ]  # fmt: skip
    assert not counting


@pytest.mark.parametrize("event", Event, ids=lambda event: event.value)
def test_every_declared_event_happens_somewhere(event):
    said = f"Event.{event.name}"
    assert any(said in path.read_text() for path in SOURCES), f"nothing counts {said}"


@pytest.mark.parametrize("event", Event, ids=lambda event: event.value)
def test_an_event_says_what_it_means(event):
    assert event.meaning.split()


def test_every_metric_is_made_of_a_declaration():
    """No name is written where a metric is made."""
    for name, tree in trees():
        clients = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in CLIENTS
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                clients & MAKERS
            ):
                first = node.args[0]
                assert not isinstance(first, ast.Constant | ast.JoinedStr), (
                    f"{name}:{node.lineno}: declare it in ports/metrics.py"
                )


def test_every_declared_metric_is_shown_and_no_other():
    for module in pkgutil.walk_packages(scoring.__path__, "scoring."):
        if module.name.startswith(("scoring.doors", "scoring.kafka", "scoring.models")):
            import_module(module.name)
    registry = CollectorRegistry()
    PrometheusTelemetry(registry)
    ControlMetrics(registry)
    families = [*registry.collect(), *REGISTRY.collect()]
    ours = ("fraud_", "rpc_", "http_")
    shown = {f.name for f in families if f.name.startswith(ours)}
    of_a_model = {m.name for m in METRICS if "model" in m.told[2]}
    declared = {m.name.removesuffix("_total") for m in METRICS}
    assert shown | of_a_model == declared
    assert _gauges.__module__ == "scoring.models.drift"  # shows those of a model


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_ends_in_its_unit_and_a_counter_in_total(metric):
    assert (metric.kind is MetricKind.COUNTER) == metric.scraped.endswith("_total")
    bare = metric.scraped.removesuffix("_total")
    if metric.unit not in {Unit.TIMES, Unit.OFFSETS}:
        assert bare.endswith(metric.unit.value)
    assert metric.meaning.endswith((".", ")"))


def test_no_two_metrics_have_one_name():
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_the_page_of_metrics_is_what_the_declarations_say_today():
    """When this fails: `make docs`."""
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics_page()
