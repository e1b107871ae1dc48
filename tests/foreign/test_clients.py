"""The clients and hops of docs/clients.md, as they stand there, against our server."""

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager

import client_page
import grpc
import pytest
import toolbox
from served import serving

from scoring.client.channel import SERVICE_CONFIG
from scoring.embedded.child import LOOPBACK, free_port
from scoring.v1 import decision_pb2 as decisions
from scoring.v1 import fraud_scoring_pb2 as calls
from scoring.v1 import fraud_scoring_pb2_grpc as stubs
from scoring.v1 import transaction_pb2 as transactions

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="module")
def server(store_url, model_dir, tmp_path_factory):
    """A server of its own: its budget is no part of what is shown here."""
    with serving(
        redis_url=store_url,
        namespace="clients",
        model_dir=model_dir,
        budget_ms=2_000,
        state_dir=tmp_path_factory.mktemp("clients"),
    ) as served:
        yield served.address


def run(need, address, *tools, cwd, attempt=1):
    """What a command of the page prints; another attempt has another id."""
    command, who = client_page.blocks("needs")[need], need.split()[0]
    done = subprocess.run(
        ["bash", "-euc", command.replace(f"order-{who}-1", f"order-{who}-{attempt}")],
        cwd=cwd,
        env={
            **os.environ,
            "PATH": client_page.path(*tools),
            "GRPC": address,
            "PROTOS": str(client_page.PROTOS),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def recorded(address, transaction_id):
    """The outcome and the first reason that the service has recorded."""
    with grpc.insecure_channel(address) as channel:
        reply = stubs.FraudScoringStub(channel).GetDecision(
            calls.GetDecisionRequest(transaction_id=transaction_id), timeout=5
        )
    core = reply.decision.core
    return decisions.Outcome.Name(core.outcome), core.reasons[0].code


def test_the_page_s_service_config_is_that_of_our_own_client():
    shown = json.loads(client_page.blocks("file")["service-config.json"])
    assert shown == SERVICE_CONFIG


@pytest.mark.parametrize("language", client_page.LANGUAGES)
def test_a_client_of_another_language_prints_the_recorded_decision(language, server):
    home = toolbox.required(lambda: client_page.built(language))
    printed = run(language, server, cwd=home).split()
    assert printed[0] == f"order-{language}-1"
    assert tuple(printed[1:]) == recorded(server, printed[0])


def labelled(address, transaction_id):
    """The verdicts that the service knows of a payment."""
    with grpc.insecure_channel(address) as channel:
        life = stubs.FraudScoringStub(channel).GetDecision(
            calls.GetDecisionRequest(transaction_id=transaction_id), timeout=5
        )
    return [transactions.Verdict.Name(label.verdict) for label in life.labels]


@pytest.mark.parametrize("language", client_page.LANGUAGES)
def test_a_client_of_another_language_reports_a_label(language, server):
    home = toolbox.required(lambda: client_page.built(language))
    run(language, server, cwd=home, attempt=3)
    for _ in range(2):  # it is safe to send again
        printed = run(f"{language} label", server, cwd=home, attempt=3)
        assert printed.split() == [f"order-{language}-3", "taken"]
    assert labelled(server, f"order-{language}-3") == ["VERDICT_FRAUD"]


def test_the_python_client_reports_a_label(server, tmp_path):
    (tmp_path / "label.py").write_text(client_page.blocks("file")["label.py"])
    check = calls.CheckTransactionRequest()
    check.transaction.id, check.transaction.currency = "order-python-1", "EUR"
    check.transaction.occurred_at.FromSeconds(int(time.time()))
    with grpc.insecure_channel(server) as channel:
        stubs.FraudScoringStub(channel).CheckTransaction(check, timeout=5)
    printed = run("python label", server, cwd=tmp_path)
    assert printed.split() == ["order-python-1", "taken"]
    assert labelled(server, "order-python-1") == ["VERDICT_FRAUD"]


def test_grpcurl_needs_no_reflection_to_check_and_to_label(server, tmp_path):
    tool = toolbox.required(toolbox.grpcurl)
    answer = json.loads(run("grpcurl", server, tool, cwd=tmp_path))
    assert answer["decision"]["core"]["outcome"] == recorded(server, "order-1-1")[0]
    taken = json.loads(run("grpcurl label", server, tool, cwd=tmp_path))
    assert taken == {"results": [{"transactionId": "order-1-1"}]}
    assert labelled(server, "order-1-1") == ["VERDICT_FRAUD"]


def test_the_health_probe_sees_service_and_loop(server, tmp_path):
    probe = toolbox.required(lambda: toolbox.go_tool("grpc-health-probe"))
    run("probe", server, probe, cwd=tmp_path)


def test_the_health_probe_exits_as_kubernetes_expects_when_nobody_listens():
    probe = toolbox.required(lambda: toolbox.go_tool("grpc-health-probe"))
    done = subprocess.run(
        [probe, f"-addr={LOOPBACK}:{free_port()}"], capture_output=True, check=False
    )
    assert done.returncode == 2


def test_ghz_is_answered_throughout(server, tmp_path):
    ghz = toolbox.required(lambda: toolbox.go_tool("ghz"))
    report = json.loads(run("ghz", server, ghz, cwd=tmp_path))
    assert report["statusCodeDistribution"] == {"OK": 200}


@contextmanager
def behind_nginx(directory, text):
    """An nginx of this configuration, and the address where it listens."""
    nginx = toolbox.required(toolbox.nginx)
    listen = f"{LOOPBACK}:{free_port()}"
    config = directory / "nginx.conf"
    config.write_text(text.replace("${LISTEN}", listen))
    with subprocess.Popen(
        [nginx, "-p", directory, "-c", config, "-e", "stderr"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            with grpc.insecure_channel(listen) as channel:
                grpc.channel_ready_future(channel).result(60)
            yield listen
        finally:
            process.terminate()
            process.wait(30)


def test_a_proxy_passes_deadline_refusal_and_stream_on(server, tmp_path):
    text = client_page.blocks("file")["nginx.conf"].replace("${GRPC}", server)
    with (
        behind_nginx(tmp_path, text) as hop,
        grpc.insecure_channel(hop) as channel,
    ):
        stub = stubs.FraudScoringStub(channel)
        good = calls.CheckTransactionRequest()
        good.transaction.id = "hop-1"
        good.transaction.amount_minor = 5
        good.transaction.currency = "EUR"
        good.transaction.occurred_at.FromSeconds(int(time.time()))
        core = stub.CheckTransaction(good, timeout=5).decision.core
        assert decisions.Outcome.Name(core.outcome) == recorded(server, "hop-1")[0]
        bad = calls.CheckTransactionRequest(transaction=good.transaction)
        bad.transaction.currency = "euro"
        with pytest.raises(grpc.RpcError) as caught:
            stub.CheckTransaction(bad, timeout=5)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert dict(caught.value.trailing_metadata())["scoring-field"] == "currency"
        asked = [
            calls.StreamCheckTransactionsRequest(transaction=good.transaction)
            for _ in range(50)
        ]
        for i, one in enumerate(asked):
            one.transaction.id = f"hop-stream-{i}"
        replies = stub.StreamCheckTransactions(iter(asked), timeout=30)
        answered = {reply.result.transaction_id for reply in replies}
        assert answered == {one.transaction.id for one in asked}


EVERY_OTHER_CALL = """
  upstream scoring {{
    server {dead} max_fails=0;
    server {alive} max_fails=0;
  }}
  upstream alive {{ server {alive}; }}
"""


@pytest.mark.parametrize("language", client_page.LANGUAGES)
def test_a_client_repeats_a_call_that_a_hop_could_not_deliver(
    language, server, tmp_path
):
    home = toolbox.required(lambda: client_page.built(language))
    dead = f"{LOOPBACK}:{free_port()}"
    upstreams = EVERY_OTHER_CALL.format(dead=dead, alive=server)
    text = client_page.blocks("file")["nginx.conf"]
    # The first call of each pair goes where nobody listens; health is always well.
    text = re.sub(r"  upstream scoring \{.*?\n  \}\n", upstreams, text, flags=re.DOTALL)
    health = "location /grpc.health.v1.Health/ { grpc_pass grpc://alive; }\n"
    text = text.replace("    location / {", f"    {health}    location / {{")
    with behind_nginx(tmp_path, text) as hop:
        printed = run(language, hop, cwd=home, attempt=2).split()
    assert tuple(printed[1:]) == recorded(server, f"order-{language}-2")
