"""Every alert fires for its cause, keeps still without it, and has its page."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass

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


def within(namespace, series):
    """These series as those of one installation."""
    return {
        f'{name}{{namespace="{namespace}"{"," if labels else ""}{labels or "}"}': values
        for one, values in series.items()
        for name, _, labels in [one.partition("{")]
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
        {RELEASE.format("a"): "7x480"},
        {RELEASE.format("b"): "3x480"},
    ),
    "staging decides by another policy than production": (
        "ReplicasDiffer",
        {POLICY.format("p1", "a"): "1x480"},
        {POLICY.format("p2", "b"): "1x480"},
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


@dataclass(frozen=True)
class Claim:
    """In this installation ("": nothing has the label) so many of an alert fire."""

    alert: str
    namespace: str
    fires: int
    case: str

    @property
    def expr(self):
        """It tells the claim from all others: promtool names what fails by it."""
        which = f'alertname="{self.alert}",alertstate="firing"'
        return f'count(ALERTS{{{which},namespace="{self.namespace}"}}) # {self.case}'

    def as_test(self):
        samples = [{"labels": "{}", "value": self.fires}] if self.fires else []
        return {"expr": self.expr, "eval_time": "7h58m", "exp_samples": samples}


def installed_apart():
    """Every case in an installation of its own, all in one Prometheus."""
    series, claims = {}, []
    for alert, (cause, none) in SERIES.items():
        for case, given, fires in (("cause", cause, 1), ("no cause", none, 0)):
            namespace = f"{alert}, {case}"
            series |= within(namespace, given)
            claims.append(Claim(alert, namespace, fires, case))
    for case, (alert, *installations) in HARMLESS.items():
        for number, given in enumerate(installations):
            namespace = f"{case}, {number}"
            series |= within(namespace, given)
            claims.append(Claim(alert, namespace, 0, f"where {namespace}"))
    return series, claims


def without_the_label():
    """The causes where nothing has a namespace: as many in one Prometheus as agree."""
    waiting = {alert: cause for alert, (cause, _) in SERIES.items()}
    while waiting:
        series, claims = {}, []
        for alert, cause in list(waiting.items()):
            metrics = {one.partition("{")[0] for one in series}
            if not metrics & {one.partition("{")[0] for one in cause}:
                series |= waiting.pop(alert)
                claims.append(Claim(alert, "", 1, "no label"))
        yield series, claims


NEVER_SEEN = {"up": "0x480"}, [Claim("ServiceGone", "", 1, "nothing was ever seen")]
WORLDS = [installed_apart(), *without_the_label(), NEVER_SEEN]


CLAIMS = [claim for _, claims in WORLDS for claim in claims]


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """What promtool says of the claims that do not hold; one run for all of them."""
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "promql_expr_test": [claim.as_test() for claim in claims],
        }
        for series, claims in WORLDS
    ]
    file = tmp_path_factory.mktemp("rules") / "test.yaml"
    rules = {"rule_files": [str(FILE)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(rules))
    tested = promtool("test", "rules", str(file))
    said = tested.stdout + tested.stderr
    named = [claim for claim in CLAIMS if json.dumps(claim.expr) in said]
    assert (tested.returncode == 0) is not bool(named), said
    return named


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda one: f"{one.alert}, {one.case}")
def test_an_alert_fires_for_its_cause_and_keeps_still_without_it(claim, failures):
    assert claim not in failures


def test_no_two_claims_have_one_name():
    assert len({claim.expr for claim in CLAIMS}) == len(CLAIMS)


def test_every_alert_has_a_cause_that_it_was_tried_with():
    assert SERIES.keys() == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_its_installation(rule):
    assert "on ()" not in rule["expr"].replace("or on () absent", "")
    for labels in re.findall(r"(?:by|on) \(([^)]*)\)", rule["expr"]):
        assert not labels or labels.startswith("namespace")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_has_its_section_and_is_about_metrics_there_are(rule):
    page = (ROOT / "docs" / "alerts.md").read_text()
    assert f"\n## {rule['alert']}\n" in page
    declared = (ROOT / "docs" / "metrics.md").read_text()
    for used in re.findall(r"\b(?:fraud|rpc|http)_\w+", rule["expr"]):
        assert f"`{used.removesuffix('_count')}" in declared, used
