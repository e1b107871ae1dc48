"""Schemathesis against the running control plane: every answer is documented."""

import os

import pytest
import schemathesis
from control_served import control_serving
from hypothesis import HealthCheck, settings
from schemathesis import checks

from scoring.control.api import app

pytestmark = [pytest.mark.timeout(3_600), pytest.mark.slow]
SCHEMA = schemathesis.openapi.from_dict(app.document())
CASES = {"nightly": 1_000, "quick": 3}.get(os.environ.get("HYPOTHESIS_PROFILE"), 6)
PROMISED = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
)


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    with control_serving(tmp_path_factory.mktemp("schemathesis-control")) as served:
        yield served


@SCHEMA.parametrize()
@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_documented(case, control):
    headers = {"authorization": f"Bearer {control.token}"}
    response = case.call(base_url=control.url, headers=headers, timeout=20)
    case.validate_response(response, checks=PROMISED)
