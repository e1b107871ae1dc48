"""`scoring dev`, which `make dev` runs: everything on loopback, and it lasts."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import confluent_kafka
import httpx
import pytest
import redis
from prometheus_server import empty_panels, prometheus

from scoring import client
from scoring.client.control_plane import ControlApi, OverHttp
from scoring.core.transaction.transaction import Transaction
from scoring.demo.people import PEOPLE
from scoring.wire.transactions import transaction_to_proto

NOW_MS = time.time_ns() // 1_000_000
PAYMENT = Transaction(
    "default",
    "dev-1",
    occurred_at_ms=NOW_MS,
    amount_minor=500,
    currency="EUR",
    card="c",
)


@contextmanager
def working(directory, model_dir):
    """The command at work: its process, and the settings that it wrote down."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SCORING_")}
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "scoring",
                "dev",
                "--grpc",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                "--control",
                "127.0.0.1:0",
                "--console",
                "127.0.0.1:0",
            ),
            f"--directory={directory}",
        ],
        env={**environment, "SCORING_MODEL_DIR": str(model_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if "until Ctrl-C" in line:
                break
        assert process.poll() is None, "".join(said)
        yield process, settings_in(directory / "env"), "".join(said)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def settings_in(env):
    words = shlex.split(env.read_text())
    return dict(word.split("=", 1) for word in words if word != "export")


def ended(process):
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(60) == 0, rest
    return rest


def busy(settings):
    """Payments over gRPC and Kafka, and what became of one."""
    payments = [
        replace(PAYMENT, id=f"busy-{n}", card=f"c{n % 50}", amount_minor=100 + n)
        for n in range(1_200)
    ]
    kafka = confluent_kafka.Producer(
        {"bootstrap.servers": settings["SCORING_KAFKA_BOOTSTRAP"]}
    )
    topic = f"{settings['SCORING_TOPIC_PREFIX']}transactions"
    for payment in payments[-100:]:
        record = transaction_to_proto(payment).SerializeToString()
        kafka.produce(topic, record, key=payment.card)
    assert kafka.flush(30) == 0
    with client.Client(settings["GRPC"], timeout_s=30) as channel:
        for begin in range(0, 1_100, 100):
            channel.check_many(payments[begin : begin + 100])
        label = client.Label("default", "busy-0", 1, client.Verdict.FRAUD, NOW_MS)
        assert channel.report([label]) == [None]


def decided(address):
    with client.Client(address, timeout_s=10) as channel:
        return channel.check(PAYMENT, timeout_s=30)


@pytest.mark.timeout(280)
def test_it_says_where_everything_is_and_what_it_decided_outlasts_it(
    tmp_path, model_dir
):
    directory = tmp_path / "a place"
    with working(directory, model_dir) as (process, settings, said):
        for place in ("GRPC", "SCORING_KAFKA_BOOTSTRAP", "SCORING_REDIS_URL"):
            assert settings[place] in said
        (console,) = re.findall(r"console  (http://\S+)", said)
        page = httpx.get(f"{console}/login", timeout=10)
        assert "Your token of the control plane" in page.text
        first = decided(settings["GRPC"])
        assert redis.Redis.from_url(settings["SCORING_REDIS_URL"]).dbsize() > 0
        for name, role in {**PEOPLE, "control": "admin"}.items():
            assert f"{name}.token ({role})" in said
            token = (directory / f"{name}.token").read_text().strip()
            control = ControlApi(OverHttp(settings["SCORING_CONTROL_URL"], token))
            assert control.get("me").json["roles"] == [role]
        ports = dict(re.findall(r"(\w+) metrics  http://(\S+)/metrics", said))
        assert set(ports) == {"serve", "stream", "control"}
        with prometheus(tmp_path / "prometheus", ports) as url:
            busy(settings)
            assert empty_panels(url) == []
        assert "Traceback" not in ended(process)
    with working(directory, model_dir) as (process, settings, _):
        assert decided(settings["GRPC"]) == first
        ended(process)


@pytest.mark.timeout(280)
def test_a_process_that_ends_by_itself_is_named(tmp_path, model_dir):
    with working(tmp_path, model_dir) as (process, _, _):
        workers = subprocess.run(
            ["pgrep", "-P", str(process.pid), "-f", "scoring stream"],
            capture_output=True,
            text=True,
            check=True,
        )
        os.kill(int(workers.stdout), signal.SIGKILL)
        assert "`scoring stream` ended by itself" in process.stdout.read()
        assert process.wait(60) == 1
