"""A service called from the shell, with the package alone."""

import json
import re
import time

import pytest
from google.protobuf import json_format
from served import serving

from scoring.client import Client, Decision
from scoring.v1.fraud_scoring_pb2 import GetDecisionResponse

PAYMENT = ("--occurred-at=now", "--amount-minor=4999", "--currency=EUR", "--card=tok-1")
NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def address(store_url, model_dir, tmp_path_factory):
    """A running `scoring serve` that a slow machine does not hurry."""
    with serving(
        redis_url=store_url,
        namespace="shell",
        model_dir=model_dir,
        budget_ms=5_000,
        store_budget_ms=2_000,
        state_dir=tmp_path_factory.mktemp("shell-server"),
    ) as served:
        yield served.address


@pytest.fixture(scope="module")
def scoring(light, address):
    """Run a command of the package alone against that service."""
    return lambda *words, **more: light.scoring(
        *words, **{"SCORING_TARGET": address, **more}
    )


@pytest.fixture(scope="module")
def decided(scoring):
    """A payment that was decided, with a label and an event."""
    assert scoring("check", "--id=shell-1", *PAYMENT).returncode == 0
    assert scoring("label", "shell-1", "--verdict=fraud").returncode == 0
    event = ("--kind=issuer-declined", "--event-id=e1", "--issuer-code=05")
    assert scoring("event", "shell-1", *event).returncode == 0
    return "shell-1"


def recorded(address, id_):
    with Client(address, timeout_s=10) as client:
        return client.life(id_)


def test_a_check_says_what_to_do_then_why_then_by_what(scoring, address):
    shown = scoring("check", "--id=shell-2", *PAYMENT)
    assert shown.returncode == 0, shown.stderr
    core = recorded(address, "shell-2").decision.core
    outcome = ("", "APPROVE", "CHALLENGE", "REVIEW", "DECLINE")[core.outcome]
    first, *lines = shown.stdout.splitlines()
    assert first == f"shell-2  {outcome}"
    assert f"  score     {core.score:.4f}" in lines
    assert all(f"{r.code}  {r.wording}" in shown.stdout for r in core.reasons)
    assert core.versions.policy in shown.stdout


def test_for_machines_it_is_the_message_in_one_line(scoring, address):
    told = {"id": "shell-3", "currency": "EUR", "card": "tok-1", "amountMinor": "1"}
    told["occurredAt"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    shown = scoring("check", "-", "--json", stdin=json.dumps(told))
    assert shown.returncode == 0, shown.stderr
    (line,) = shown.stdout.splitlines()
    assert json_format.Parse(line, Decision()) == recorded(address, "shell-3").decision


def test_a_dry_run_leaves_nothing(scoring):
    assert scoring("check", "--id=shell-4", *PAYMENT, "--dry-run").returncode == 0
    assert scoring("decision", "shell-4").returncode == 1


def test_a_decision_is_shown_with_what_became_known_since(scoring, address, decided):
    shown = scoring("decision", decided).stdout
    assert re.search(r"^  label +1: FRAUD, known at 20", shown, re.MULTILINE)
    assert re.search(
        r"^  event +e1: ISSUER_DECLINED, at .* code 05$", shown, re.MULTILINE
    )
    (line,) = scoring("decision", decided, "--json").stdout.splitlines()
    life = json_format.Parse(line, GetDecisionResponse())
    assert life == recorded(address, decided)
    assert (len(life.labels), len(life.events)) == (1, 1)


def test_an_explanation_adds_up_line_by_line(scoring, address, decided):
    shown = scoring("explain", decided, "--top=5")
    if shown.returncode == 3:  # a busy machine may load XGBoost for half a minute
        shown = scoring("explain", decided, "--top=5")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert len(lines) == 1 + 1 + 1 + 5 + 1 + 1  # outcome, heads, base, …, others, sum
    added = [float(re.search(r"[+-]\d+\.\d{3}", line)[0]) for line in lines[2:]]
    margin = recorded(address, decided).decision.core.margin
    assert added[-1] == pytest.approx(margin, abs=1e-3)
    assert sum(added[:-1]) == pytest.approx(margin, abs=1e-2)
    assert "█" in shown.stdout


REFUSED = [
    ("decision nobody-had-it", 1, "(not-found)"),
    ("explain nobody-had-it", 1, "(not-found)"),
    ("label nobody-had-it --verdict fraud", 1, "transaction_id: nothing is known"),
    ("label {id} --verdict legitimate", 1, "verdict: this version was already"),
    ("event {id} --kind refunded --event-id e1", 1, "event_id: this event was already"),
    ("event {id} --kind refunded --event-id e2 --issuer-code 05", 1, "issuer_code: "),
    ("check --id {id} --currency EUR --occurred-at now", 1, "differs in occurred_at"),
    ("check --id x --currency euro --occurred-at now", 1, "currency: must be an "),
    ("check --id x --currency EUR --occurred-at now --card 4111111111111111", 1,
     "card: holds a card number"),
    ("decision {id} --tenant 4111111111111111", 1, "tenant: "),
    ("check --id x --currency EUR", 2, "occurred_at: is required"),
    ("check nowhere.json", 2, "nowhere.json: No such file"),
    ("label {id} --verdict guilty", 2, "--verdict: must be one of fraud, legitimate"),
    ("event {id} --kind lost --event-id e3", 2, "--kind: must be one of authorised"),
    ("event {id} --kind captured", 2, "--event-id"),
    ("label {id} --verdict fraud --known-at yesterday", 2, "--known-at: must be now"),
    ("decision {id} --colour red", 2, "--colour"),
    (f"decision {{id}} --target {NOBODY}", 3, f"is a service at {NOBODY}?"),
    ("decision {id} --timeout 0.000001", 3, "--timeout allows more"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "status", "said"), REFUSED, ids=lambda v: f"{v}"[:40])
def test_what_is_refused_ends_with_its_status_and_says_what_to_do(
    scoring, decided, line, status, said
):
    refused = scoring(*line.format(id=decided).split())
    assert refused.returncode == status, refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "4111" not in refused.stderr
    assert not refused.stdout


def test_a_refusal_is_told_to_machines_as_well(scoring):
    refused = scoring("decision", "nobody-had-it", "--json")
    assert refused.returncode == 1
    error = json.loads(refused.stdout)["error"]
    assert (error["problem"], error["field"]) == ("not-found", "transaction_id")


@pytest.mark.parametrize("command", ["check", "decision", "explain", "label", "event"])
def test_the_help_of_a_command_says_how_it_ends_and_which_variables_it_reads(
    light, command
):
    shown = light.scoring(command, "--help")
    assert shown.returncode == 0
    assert "3  no answer" in shown.stdout
    assert "[SCORING_TARGET_CA_FILE]" in shown.stdout


def test_the_name_of_a_call_is_sent(scoring, decided):
    assert scoring("decision", decided, "--request-id=desk-7").returncode == 0
