"""A broker that asks who is there: TLS, certificates, passwords; and none at all."""

import json
import os
import subprocess
import sys

import pytest
from certificates import Authority
from kafka_cluster import PASSWORD, kafka_cluster, why_not
from stream_parts import Input, transaction

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority.made(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, authority):
    if missing := why_not():
        pytest.skip(missing)
    with kafka_cluster(tmp_path_factory.mktemp("secured"), authority) as running:
        yield running


@pytest.fixture(scope="module")
def ways(authority, cluster):
    """Address and client options of each way in."""
    ours = authority.leaf("worker")
    by_password = {
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(authority.root),
        "sasl_plain_username": "risk",
        "sasl_plain_password": PASSWORD,
    }
    certificate = {
        "security_protocol": "SSL",
        "ssl_cafile": str(authority.root),
        "ssl_certfile": str(ours.cert),
        "ssl_keyfile": str(ours.key),
    }
    mutual, password = cluster.secure["MUTUAL"], cluster.secure["PASSWORD"]
    return {
        "certificate": (mutual, certificate),
        "plain": (password, by_password | {"sasl_mechanism": "PLAIN"}),
        "scram": (password, by_password | {"sasl_mechanism": "SCRAM-SHA-256"}),
    }


def environment(bootstrap: str, options: dict[str, str]) -> dict[str, str]:
    return {
        "SCORING_KAFKA_BOOTSTRAP": bootstrap,
        "SCORING_KAFKA_OPTIONS": json.dumps(options),
    }


def scoring(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "scoring", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def broker(cluster):
    """What the tests' own clients use: the way in that asks nothing."""

    class Open:
        bootstrap, embedded = cluster.bootstrap, False
        fetch_wait_ms, session_timeout_s = 100, 3.0

    return Open


@pytest.mark.parametrize("way", ["certificate", "plain", "scram"])
async def test_a_worker_that_proves_who_it_is_decides(stream, ways, way):
    await stream.worker(**environment(*ways[way])).ready()
    await stream.send([Input.of(transaction(f"t{n}")) for n in range(20)])
    counted = await stream.count(20)
    assert not counted.lost([f"t{n}" for n in range(20)])


def refused(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "SCORING_KAFKA_OPTIONS" in line
    return line


def test_a_wrong_password_is_told_in_one_line_that_does_not_hold_it(ways):
    address, options = ways["scram"]
    wrong = environment(address, options | {"sasl_plain_password": "guessed"})
    line = refused(scoring("topics", "check", env=wrong))
    assert "authentication" in line.lower()
    assert "guessed" not in line


def test_a_broker_of_an_unknown_authority_is_told_in_one_line(ways):
    address, options = ways["plain"]
    unknown = {k: v for k, v in options.items() if k != "ssl_cafile"}
    line = refused(scoring("topics", "check", env=environment(address, unknown)))
    assert "CERTIFICATE_VERIFY_FAILED" in line


@pytest.mark.parametrize(
    "command", [("topics", "check"), ("dead-letters", "list"), ("tail", "decisions")]
)
def test_a_broker_that_is_away_is_told_in_one_line(command):
    nowhere = {"SCORING_KAFKA_BOOTSTRAP": "127.0.0.1:1"}
    line = refused(scoring(*command, env=nowhere))
    assert "no broker answers at 127.0.0.1:1: " in line
    assert "refused" in line or "failed" in line
