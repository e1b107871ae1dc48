"""Every alert fires for its cause, keeps still without it, and has its page."""

import re
import shutil
import subprocess

import pytest
import yaml
from test_tidy import ROOT

FILE = ROOT / "helm" / "fraud-scoring" / "files" / "alerts.yaml"
RULES = [
    rule
    for group in yaml.safe_load(FILE.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
REFUSALS = 'fraud_refusals_total{{door="grpc",problem="{}"}}'
FAILED, LIMITED = REFUSALS.format("unavailable"), REFUSALS.format("rate-limited")
WELL = 'fraud_check_seconds_count{door="grpc"}'
# A drain ends streams so, and one call of a batch hides what its items are.
QUOTA = 'rpc_server_calls_total{rpc_response_status_code="RESOURCE_EXHAUSTED"}'
ENDED = 'rpc_server_calls_total{rpc_response_status_code="UNAVAILABLE"}'
FULL, WITHOUT = (
    f'fraud_decisions_by_rung_total{{rung="{rung}"}}'
    for rung in ("full", "without_history")
)
STORE, LOG = (
    'fraud_available{system="store",instance="a"}',
    'fraud_available{system="log"}',
)
LOST = 'fraud_unavailable_state{system="store",reason="history_lost"}'
AGE, LAG = 'fraud_provisional_age_seconds{instance="a"}', "fraud_stream_lag_records"
LETTERS = 'fraud_dead_letters_total{input="labels",problem="invalid"}'
REFUSED = 'fraud_events_total{event="model_refused"}'
SHED = 'fraud_events_total{event="shed_late"}'
EXPIRY = 'fraud_certificate_expiry_timestamp_seconds{certificate="server"}'
USED, LIMIT = "fraud_store_memory_bytes", "fraud_store_memory_limit_bytes"
POLICY = 'fraud_policy_info{{arm="policy",policy="{}",instance="{}"}}'
TRIPPED = 'fraud_events_total{event="breaker_tripped"}'
NOT_TAKEN, RELEASE = "fraud_refused_releases", 'fraud_release_number{{instance="{}"}}'
CONTROL = 'fraud_available{system="control"}'
STANDING = 'fraud_control_replicas{{standing="{}"}}'
WAITING, RELAY = "fraud_control_waiting_records", "fraud_control_relay_available"
BUILD = 'fraud_build_info{version="1"}'
# Of each alert: the series with its cause, and those without it, a value a minute.
SERIES = {
    "AnswersFailFast": (
        {WELL: "0+100x480", FAILED: "0+5x480"},
        {WELL: "0+10000x480", FAILED: "0+5x480"},
    ),
    "AnswersFailSlowly": (
        {WELL: "0+1000x480", FAILED: "0+8x480"},
        {WELL: "0+1000x480", FAILED: "0+8x60 480+0x420"},
    ),
    "AnswersDegradedFast": (
        {FULL: "0+100x480", WITHOUT: "0+20x480"},
        {FULL: "0+100x480", WITHOUT: "0+20x300 6000+0x180"},
    ),
    "AnswersDegradedSlowly": (
        {FULL: "0+100x480", WITHOUT: "0+8x480"},
        {FULL: "0+100x480", WITHOUT: "0+1x480"},
    ),
    "ServiceGone": ({BUILD: "1x400"}, {BUILD: "1x480"}),
    "StoreUnavailable": ({STORE: "0x480"}, {STORE: "1x480"}),
    "HistoryLost": ({LOST: "1x480"}, {LOST: "0x480"}),
    "LogUnavailable": ({LOG: "0x480"}, {LOG: "1x480"}),
    "ProvisionalKept": (
        {AGE: "400x480", STORE: "1x480"}, {AGE: "400x480", STORE: "0x480"}
    ),
    "DeadLetters": ({LETTERS: "0x475 1x5"}, {LETTERS: "7x480"}),
    "StreamLagGrows": ({LAG: "0+100x480"}, {LAG: "50000-100x480"}),
    "SwapRefused": ({REFUSED: "0x475 1x5"}, {REFUSED: "3x480"}),
    "CertificateExpires": ({EXPIRY: "100000x480"}, {EXPIRY: "10000000000x480"}),
    "StoreMemoryLow": (
        {USED: "90x480", LIMIT: "100x480"}, {USED: "90x480", LIMIT: "0x480"}
    ),
    "ChecksShed": (
        {FULL: "0+100x480", SHED: "0+1x480"}, {FULL: "0+100x480", SHED: "0x480"}
    ),
    "BreakerTripped": ({TRIPPED: "0x475 1x5"}, {TRIPPED: "2x480"}),
    "ReleaseRefused": ({NOT_TAKEN: "1x480"}, {NOT_TAKEN: "0x480"}),
    "ReplicaLags": (
        {RELEASE.format("a"): "7x480", RELEASE.format("b"): "6x480"},
        {RELEASE.format("a"): "7x480", RELEASE.format("file"): "0x480"},
    ),
    "ReleasesDoNotCome": ({CONTROL: "0x480"}, {CONTROL: "1x480"}),
    "ReplicaAmiss": (
        {STANDING.format("silent"): "1x480"}, {STANDING.format("current"): "4x480"}
    ),
    "ControlPlaneGone": (
        {RELEASE.format("a"): "7x480"}, {RELEASE.format("a"): "7x480", RELAY: "1x480"}
    ),
    "ReleasesWait": (
        {WAITING: "3x480", RELAY: "1x480"}, {WAITING: "0x480", RELAY: "1x480"}
    ),
    "ReplicasDiffer": (
        {POLICY.format("p1", "a"): "1x480", POLICY.format("p2", "b"): "1x480"},
        {POLICY.format("p1", "a"): "1x480", POLICY.format("p1", "b"): "1x480"},
    ),
}  # fmt: skip


def of(**installations):
    """The series of several installations, each with its namespace."""
    return {
        f'{name}{{namespace="{namespace}",{labels or "}"}': values
        for namespace, series in installations.items()
        for name, _, labels in (one.partition("{") for one in series)
        for values in [series[name + (f"{{{labels}" if labels else "")]]
    }


# What might be taken for a cause, and is none.
HARMLESS = {
    "one caller is above its rate": (
        "AnswersFailFast",
        {WELL: "0+100x480", FAILED: "0x480", LIMITED: "0+50x480", QUOTA: "0+50x480"},
    ),
    "a drain ends streams, and few calls carry many checks": (
        "AnswersFailFast",
        {WELL: "0+100x480", FAILED: "0x480", ENDED: "0+5x480"},
    ),
    "the stream door decides, and nobody asks": (
        "AnswersFailFast",
        {WELL.replace("grpc", "kafka"): "0+100x480", FAILED: "0x480"},
    ),
    "staging has fewer releases than production": (
        "ReplicaLags",
        of(prod={RELEASE.format("a"): "7x480"}, staging={RELEASE.format("b"): "3x480"}),
    ),
    "staging decides by another policy than production": (
        "ReplicasDiffer",
        of(
            prod={POLICY.format("p1", "a"): "1x480"},
            staging={POLICY.format("p2", "b"): "1x480"},
        ),
    ),
    "nobody releases": ("ControlPlaneGone", {RELEASE.format("a"): "0x480"}),
}


def promtool(*arguments):
    found = shutil.which("promtool")
    assert found, "install the Debian package prometheus: .ci/tools does"
    return subprocess.run(
        [found, *arguments], capture_output=True, text=True, check=False
    )


def test_the_rules_are_rules():
    checked = promtool("check", "rules", str(FILE))
    assert checked.returncode == 0, checked.stderr


def held(tmp_path, *cases):
    """That of each (alert, series, how many fire) just so many fire."""
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                    "eval_time": "7h58m",
                    "exp_samples": [{"labels": "{}", "value": fires}] if fires else [],
                }
            ],
        }
        for name, series, fires in cases
    ]
    file = tmp_path / "test.yaml"
    rules = {"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(rules))
    tested = promtool("test", "rules", str(file))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_fires_for_its_cause_and_keeps_still_without_it(rule, tmp_path):
    name = rule["alert"]
    cause, none = SERIES[name]
    held(tmp_path, (name, cause, 1), (name, none, 0))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_of_two_installations_the_one_with_the_cause_fires(rule, tmp_path):
    name = rule["alert"]
    cause, none = SERIES[name]
    held(tmp_path, (name, of(prod=cause, staging=none), 1))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_its_installation(rule):
    assert "on ()" not in rule["expr"].replace("or on () absent", "")
    for labels in re.findall(r"(?:by|on) \(([^)]*)\)", rule["expr"]):
        assert not labels or labels.startswith("namespace")


def test_an_outage_of_all_fires_even_where_nothing_was_ever_seen(tmp_path):
    held(tmp_path, ("ServiceGone", {"up": "0x480"}, 1))


@pytest.mark.parametrize("what", HARMLESS)
def test_nothing_fires_where(what, tmp_path):
    name, series = HARMLESS[what]
    held(tmp_path, (name, series, 0))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_its_section_and_is_about_metrics_there_are(rule):
    page = (ROOT / "docs" / "alerts.md").read_text()
    assert f"\n## {rule['alert']}\n" in page
    declared = (ROOT / "docs" / "metrics.md").read_text()
    for used in re.findall(r"\b(?:fraud|rpc|http)_\w+", rule["expr"]):
        assert f"`{used.removesuffix('_count')}" in declared, used
