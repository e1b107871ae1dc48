"""Schemathesis against the running service: every answer is one that is documented.

By night it tries more than 20,000 cases.
"""

import os
import time

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks
from served import serving

from scoring.embedded.child import LOOPBACK, free_port
from scoring.wire import openapi

pytestmark = pytest.mark.timeout(7_200)
# Read when its test begins: what it has to try is dear to list, and is listed for every
# process that collects tests otherwise.
SCHEMA = schemathesis.pytest.from_fixture("documented")


def no_failure_of_ours(_context, response, case):
    """Only who asks for less time than there is gets no answer in time."""
    hurried = "x-timeout-ms" in (case.headers or {})
    allowed = {504} if hurried else set()
    assert response.status_code < 500 or response.status_code in allowed, response


PROMISED = (
    no_failure_of_ours,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
)
CASES = {"nightly": 3_000, "quick": 4}.get(os.environ.get("HYPOTHESIS_PROFILE"), 15)


@pytest.fixture
def documented(request):
    # Schemathesis names its subtests by a field that pytest has renamed since.
    request.node._nodeid = request.node.nodeid
    return schemathesis.openapi.from_dict(openapi.document())


@pytest.fixture(scope="module")
def address(store_url, model_dir, tmp_path_factory):
    listening = f"{LOOPBACK}:{free_port()}"
    with serving(
        http_address=listening,
        redis_url=store_url,
        namespace="schemathesis",
        model_dir=model_dir,
        budget_ms=2_000,
        state_dir=tmp_path_factory.mktemp("schemathesis"),
    ):
        yield f"http://{listening}"


@SCHEMA.parametrize()
@settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_documented(case, address):
    for pause_s in (0.1, 0.5, 2.0, 0):
        response = case.call(base_url=address, timeout=20)
        if response.status_code != 503 or not pause_s:
            break
        time.sleep(pause_s)  # a busy machine starves the store: repeat, as callers do
    case.validate_response(response, checks=PROMISED)
