"""`scoring serve` with its HTTP door: workers share the port, SIGTERM drains."""

import http.client
import json
import threading
import time

import pytest
from grpc_parts import payment
from http_parts import said
from served import serving


@pytest.fixture
def settings(model_dir, store_url, store_namespace, tmp_path):
    return {
        "model_dir": model_dir,
        "redis_url": store_url,
        "namespace": store_namespace,
        "state_dir": tmp_path,
        "http_address": "127.0.0.1:0",
        # The machine of the tests is shared: only a drill speaks of milliseconds.
        "budget_ms": 10_000,
        "store_budget_ms": 5_000,
        "drain_notice_s": 1,
    }


def check(address):
    """The status of a check on a fresh connection."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        body = json.dumps(said(payment()))
        headers = {"content-type": "application/json"}
        connection.request("POST", "/v1/checks", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_two_workers_share_the_port_and_drain_without_losing_a_call(settings):
    """As behind a balancer: callers stop coming while the pod gives notice."""
    with serving("--workers", "2", **settings) as served:
        seen, notice = [], threading.Event()

        def call():
            while not notice.is_set():
                seen.append(check(served.http_address))

        callers = [threading.Thread(target=call) for _ in range(4)]
        for caller in callers:
            caller.start()
        while len(seen) < 40:
            time.sleep(0.01)
        served.process.terminate()
        notice.set()
        for caller in callers:
            caller.join()
        assert served.process.wait(60) == 0
    assert len(seen) >= 40
    assert set(seen) == {200}


def test_a_taken_port_is_told_and_the_process_does_not_start(settings):
    with serving(**settings) as served:
        taken = settings | {"http_address": served.http_address}
        with (
            pytest.raises(AssertionError, match="cannot bind"),
            serving(**taken),
        ):
            pass
