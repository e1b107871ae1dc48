"""The labels of metrics are closed lists, the same as what the service really does."""

import re
import shutil
import subprocess

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from scoring import wire
from scoring.doors.calls.refusals import KINDS, Code
from scoring.doors.http import connection, problems
from scoring.pipeline import batch, recorder, scorer
from scoring.ports.metrics import METRICS, MetricKind, MetricLabel, calls, decisions
from scoring.telemetry.prometheus import PrometheusTelemetry
from scoring.wire.routes import HEALTH_PATH, OPENAPI_PATH, SERVICE

SERIES_MAX = 2_000
# What an id would be called.
_IDS = re.compile(
    r"(^|_)(id|card|account|customer|transaction|payment|key|token|peer)$"
)


def test_the_methods_and_routes_are_those_of_the_contract():
    assert set(calls.RPCS) == set(SERVICE.methods_by_name)
    ours = {route.path for route in wire.ROUTES} | {HEALTH_PATH, OPENAPI_PATH}
    assert set(calls.HTTP_ROUTES) == ours


def test_every_status_and_problem_that_is_answered_has_a_series():
    assert set(calls.STATUSES) == {code.name for code in Code} | {"OK", "CANCELLED"}
    assert {kind.slug for kind in KINDS.values()} <= set(calls.PROBLEMS)
    answered = {kind.status.value for kind in KINDS.values()}
    of_routes = {status for route in wire.ROUTES for status in route.statuses}
    own = [
        each
        for module in (connection, problems)
        for each in vars(module).values()
        if isinstance(each, problems.Problem)
    ] + [problems.unsupported(""), problems.not_allowed(b"GET")]
    assert {each.slug for each in own} | {"draining"} == set(calls.HTTP_PROBLEMS)
    answered |= {each.status.value for each in own}
    assert answered | of_routes | {200, calls.LEFT, 500} == set(calls.HTTP_STATUSES)


def test_every_stage_that_is_timed_has_a_series():
    sources = [module.__loader__.get_source(module.__name__) for module in
               (scorer, recorder, batch)]  # fmt: skip
    timed = re.findall(r'\.(?:lap|waited)\("(\w+)"', "".join(map(str, sources)))
    assert set(timed) == set(decisions.STAGE_NAMES)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_says_what_to_do_and_names_no_id(metric):
    assert metric.meaning.split()
    assert metric.act.endswith((".", "?"))
    assert not [label for label in metric.labels if _IDS.search(label.name)]
    assert (metric.kind is MetricKind.HISTOGRAM) == bool(metric.buckets)
    assert list(metric.buckets) == sorted(metric.buckets)


def test_a_label_that_nothing_bounds_is_refused():
    with pytest.raises(TypeError):
        MetricLabel("card")


def everything() -> CollectorRegistry:
    registry = CollectorRegistry()
    PrometheusTelemetry(registry)
    return registry


def test_every_closed_series_is_there_from_the_start_at_zero():
    registry = everything()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
    for metric in METRICS:
        if metric.kind is MetricKind.COUNTER and metric.scraped in {
            n for n, *_ in found
        }:
            for values in metric.at_first:
                assert found[(metric.scraped, *values)] == 0


def test_a_process_has_fewer_than_two_thousand_series():
    shown = generate_latest(everything()).decode().splitlines()
    series = [line for line in shown if not line.startswith("#")]
    assert 500 < len(series) < SERIES_MAX


def test_promtool_finds_no_fault_in_what_is_shown():
    promtool = shutil.which("promtool")
    assert promtool, "install the Debian package prometheus: .ci/tools does"
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=generate_latest(everything()),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, b""), checked.stderr.decode()
