"""What a real process shows while its store comes and goes."""

import json
import math
import re
import shutil
import subprocess
import time
from urllib.request import urlopen

import grpc
import pytest
from grpc_parts import payment, request
from served import serving

from scoring.embedded.child import free_port
from scoring.ports.metrics import outside
from scoring.v1 import fraud_scoring_pb2_grpc as stubs

SERIES_MAX = 2_000
PORT = free_port()
CARD = "4111111111111111"


def page() -> str:
    with urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=10) as reply:
        return reply.read().decode()


def shown() -> dict[str, float]:
    lines = [line for line in page().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines)}


def until(condition) -> dict[str, float]:
    ends = time.monotonic() + 30
    while not condition(found := shown()):
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.2)
    return found


@pytest.fixture
def served(own_store, model_dir, store_namespace, tmp_path):
    settings = {
        "model_dir": model_dir,
        "redis_url": own_store.url,
        "namespace": store_namespace,
        "state_dir": tmp_path / "state",
        "metrics_port": PORT,
        "budget_ms": 5_000,
        "store_budget_ms": 1_000,
        "log_format": "json",
    }
    with serving(**settings) as process:
        yield process


def send(served, **fields):
    with grpc.insecure_channel(served.address) as channel:
        return stubs.FraudScoringStub(channel).CheckTransaction(
            request(payment(**fields)), timeout=10
        )


def test_a_process_shows_why_its_store_is_unavailable_and_what_waits_for_it(
    served, own_store
):
    shows_a_decision_by_its_versions(served)
    own_store.stop(kill=True)
    send(served)
    shows_what_is_missing()
    with pytest.raises(grpc.RpcError):
        send(served, merchant=CARD)
    own_store.start()
    until(lambda now: now["fraud_provisional_decisions"] == 0)
    shows_no_card_number_and_no_fault(page(), served)
    assert served.stop() == 0
    says_each_change_of_state(served)


def says_each_change_of_state(served):
    lines = [json.loads(line) for line in served.errors]
    assert all({"time", "level", "logger", "event"} <= line.keys() for line in lines)
    circuit = [line["circuit"] for line in lines if "circuit" in line]
    assert (circuit[0], circuit[-1]) == ("open", "closed")
    opened = next(line for line in lines if line.get("circuit") == "open")
    assert opened["cause"] in outside.REASONS
    (refused,) = [line for line in lines if line.get("cause") == "card-number"]
    assert "127.0.0.1" in refused["peer"]
    life = [line["event"] for line in lines if "lifecycle" in line["logger"]]
    assert [re.sub(r"[0-9.]+", "N", event) for event in life] == [
        "serve starts",
        "serve is ready after N s",
        "serve drains",
        "serve has drained in N s and ends",
    ]


def shows_a_decision_by_its_versions(served):
    found = until(lambda now: not math.isnan(now["fraud_store_memory_bytes"]))
    assert found["fraud_store_memory_bytes"] > 0
    assert found['fraud_circuit_state{state="closed"}'] == 1
    assert found["fraud_provisional_decisions"] == 0
    expiry = 'fraud_certificate_expiry_timestamp_seconds{certificate="server"}'
    assert math.isnan(found[expiry])
    send(served)
    found = shown()
    name = "fraud_decisions_total"
    (made,) = [n for n, value in found.items() if n.startswith(name) and value]
    assert not re.search(r'(policy|model|definitions)="(replaced)?"', made)
    assert found['fraud_check_seconds_count{door="grpc"}'] == 1


def shows_what_is_missing():
    found = until(lambda now: now['fraud_circuit_state{state="open"}'] == 1)
    reasons = [
        value
        for name, value in found.items()
        if name.startswith("fraud_unavailable_state{") and 'system="store"' in name
    ]
    assert sum(reasons) == 1
    assert found['fraud_available{system="store"}'] == 0
    assert found["fraud_provisional_decisions"] == 1
    assert found["fraud_provisional_age_seconds"] > 0
    assert found["fraud_spool_bytes"] > 0
    assert found['fraud_decisions_by_rung_total{rung="without_history"}'] == 1
    assert found['fraud_degradations_total{cause="history_unavailable"}'] == 1


def shows_no_card_number_and_no_fault(text, served):
    assert CARD not in text
    assert CARD not in "\n".join(served.errors)
    series = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(series) < SERIES_MAX
    promtool = shutil.which("promtool")
    assert promtool, "install the Debian package prometheus: .ci/tools does"
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=text,
        text=True,
        capture_output=True,
        check=False,
    )
    assert not [line for line in checked.stderr.splitlines() if "python_" not in line]
