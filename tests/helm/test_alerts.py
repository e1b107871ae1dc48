"""Every alert fires for its cause, keeps still without it, and has its page."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass

import promql
import pytest
import yaml
from promql import known_metrics, metrics_in
from test_tidy import ROOT

FILE = ROOT / "helm" / "fraud-scoring" / "files" / "alerts.yaml"
RULES = [rule for rule in promql.RULES if "alert" in rule]
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
# Of each alert: the series with its cause, and those without it, one in two minutes.
SERIES = {
    "AnswersFailFast": (
        {WELL: "0+100x240", FAILED: "0+5x240"},
        {WELL: "0+10000x240", FAILED: "0+5x240"},
    ),
    "AnswersFailSlowly": (
        {WELL: "0+1000x240", FAILED: "0+8x240"},
        {WELL: "0+1000x240", FAILED: "0+8x30 240+0x210"},
    ),
    "AnswersDegradedFast": (
        {FULL: "0+100x240", WITHOUT: "0+20x240"},
        {FULL: "0+100x240", WITHOUT: "0+20x150 3000+0x90"},
    ),
    "AnswersDegradedSlowly": (
        {FULL: "0+100x240", WITHOUT: "0+8x240"},
        {FULL: "0+100x240", WITHOUT: "0+1x240"},
    ),
    "AnswersFailSteadily": (
        {WELL: "0+10000x240", FAILED: "0+40x240"},
        {WELL: "0+10000x240", FAILED: "0+9x240"},
    ),
    "AnswersDegradedSteadily": (
        {FULL: "0+1000x240", WITHOUT: "0+40x240"},
        {FULL: "0+1000x240", WITHOUT: "0+9x240"},
    ),
    "ServiceGone": ({BUILD: "1x200"}, {BUILD: "1x240"}),
    "StoreUnavailable": ({STORE: "0x240"}, {STORE: "1x240"}),
    "HistoryLost": ({LOST: "1x240"}, {LOST: "0x240"}),
    "LogUnavailable": ({LOG: "0x240"}, {LOG: "1x240"}),
    "ProvisionalKept": (
        {AGE: "400x240", STORE: "1x240"}, {AGE: "400x240", STORE: "0x240"}
    ),
    "DeadLetters": ({LETTERS: "0x235 1x5"}, {LETTERS: "7x240"}),
    "StreamLagGrows": ({LAG: "0+100x240"}, {LAG: "50000-100x240"}),
    "StreamLagUnknown": ({LAG: " ".join(["NaN"] * 241)}, {LAG: "5x240"}),
    "SwapRefused": ({REFUSED: "0x235 1x5"}, {REFUSED: "3x240"}),
    "CertificateExpires": ({EXPIRY: "100000x240"}, {EXPIRY: "10000000000x240"}),
    "StoreMemoryLow": (
        {USED: "90x240", LIMIT: "100x240"}, {USED: "90x240", LIMIT: "0x240"}
    ),
    "ChecksShed": (
        {FULL: "0+100x240", SHED: "0+1x240"}, {FULL: "0+100x240", SHED: "0x240"}
    ),
    "BreakerTripped": ({TRIPPED: "0x235 1x5"}, {TRIPPED: "2x240"}),
    "ReleaseRefused": ({NOT_TAKEN: "1x240"}, {NOT_TAKEN: "0x240"}),
    "ReplicaLags": (
        {RELEASE.format("a"): "7x240", RELEASE.format("b"): "6x240"},
        {RELEASE.format("a"): "7x240", RELEASE.format("file"): "0x240"},
    ),
    "ReleasesDoNotCome": ({CONTROL: "0x240"}, {CONTROL: "1x240"}),
    "ReplicaAmiss": (
        {STANDING.format("silent"): "1x240"}, {STANDING.format("current"): "4x240"}
    ),
    "ControlPlaneGone": (
        {RELEASE.format("a"): "7x240"}, {RELEASE.format("a"): "7x240", RELAY: "1x240"}
    ),
    "ReleasesWait": (
        {WAITING: "3x240", RELAY: "1x240"}, {WAITING: "0x240", RELAY: "1x240"}
    ),
    "ReplicasDiffer": (
        {POLICY.format("p1", "a"): "1x240", POLICY.format("p2", "b"): "1x240"},
        {POLICY.format("p1", "a"): "1x240", POLICY.format("p1", "b"): "1x240"},
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
        {WELL: "0+100x240", FAILED: "0x240", LIMITED: "0+50x240", QUOTA: "0+50x240"},
    ),
    "a drain ends streams, and few calls carry many checks": (
        "AnswersFailFast",
        {WELL: "0+100x240", FAILED: "0x240", ENDED: "0+5x240"},
    ),
    "the stream door decides, and nobody asks": (
        "AnswersFailFast",
        {WELL.replace("grpc", "kafka"): "0+100x240", FAILED: "0x240"},
    ),
    "staging has fewer releases than production": (
        "ReplicaLags",
        {RELEASE.format("a"): "7x240"},
        {RELEASE.format("b"): "3x240"},
    ),
    "staging decides by another policy than production": (
        "ReplicasDiffer",
        {POLICY.format("p1", "a"): "1x240"},
        {POLICY.format("p2", "b"): "1x240"},
    ),
    "nobody releases": ("ControlPlaneGone", {RELEASE.format("a"): "0x240"}),
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

    def as_test(self, end):
        samples = [{"labels": "{}", "value": self.fires}] if self.fires else []
        return {"expr": self.expr, "eval_time": end, "exp_samples": samples}


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


NEVER_SEEN = {"up": "0x240"}, [Claim("ServiceGone", "", 1, "nothing was ever seen")]
DAY = [installed_apart(), *without_the_label(), NEVER_SEEN]
# Courses of three days: hours, and how many checks of 10,000 fail, of which the budget
# allows 10. And which of Fast, Slowly and Steadily fire at the end.
DAYS = {
    "at one and a half times the budget": ([(76, 15)], "Steadily"),
    "at nine tenths of it": ([(76, 9)], ""),
    "a bad hour, two days ago": ([(28, 0), (1, 200), (47, 0)], ""),
    "a bad day, over for eight hours": ([(44, 0), (24, 40), (8, 0)], ""),
    "twice the budget for 20 hours": ([(56, 0), (20, 20)], ""),
    "four times the budget for 20 hours": ([(56, 0), (20, 40)], "Steadily"),
    "seven times the budget for seven hours": ([(69, 0), (7, 70)], "Slowly"),
    "nothing answers for minutes": ([(75.8, 0), (0.2, 10_000)], "Fast Slowly Steadily"),
    "nothing answered for minutes": ([(75, 0), (0.2, 10_000), (0.8, 0)], "Steadily"),
}
STEP_MIN = 4  # a rate over five minutes needs two values


def counted(course):
    """A counter that grows by so many a step for so many hours, one after another."""
    values, now = [], 0
    for hours, growth in course:
        steps = round(hours * 60 / STEP_MIN)
        values.append(f"{now + growth}+{growth}x{steps - 1}")
        now += growth * steps
    return " ".join(values)


def days():
    """Each course in an installation of its own."""
    series, claims = {}, []
    for case, (course, fires) in DAYS.items():
        given = {WELL: counted([(76, 10_000)]), FAILED: counted(course)}
        series |= within(case, given)
        claims += [
            Claim(f"AnswersFail{speed}", case, int(speed in fires), case)
            for speed in ("Fast", "Slowly", "Steadily")
        ]
    return series, claims


CLAIMS = [claim for _, claims in [*DAY, days()] for claim in claims]


def promtool_file(step, end, worlds):
    """A file of tests for promtool: these worlds, looked at when they end."""
    tests = [
        {
            "interval": step,
            "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "promql_expr_test": [claim.as_test(end) for claim in claims],
        }
        for series, claims in worlds
    ]
    rules = {"rule_files": [str(FILE)], "evaluation_interval": step, "tests": tests}
    return yaml.safe_dump(rules)


@pytest.fixture(scope="module")
def failures(tmp_path_factory):
    """What promtool says of the claims that do not hold; one run for all of them."""
    made = tmp_path_factory.mktemp("rules")
    day, long = made / "day.yaml", made / "days.yaml"
    day.write_text(promtool_file("2m", "7h58m", DAY))
    long.write_text(promtool_file(f"{STEP_MIN}m", "75h56m", [days()]))
    tested = promtool("test", "rules", str(day), str(long))
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
def test_an_alert_has_its_section(rule):
    page = (ROOT / "docs" / "alerts.md").read_text()
    assert f"\n## {rule['alert']}\n" in page


def test_every_rule_reads_metrics_there_are():
    read = {name for rule in promql.RULES for name in metrics_in(rule["expr"])}
    assert read <= known_metrics(), read - known_metrics()
    assert len(read) > len(RULES)
