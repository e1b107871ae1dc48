"""What a linter that others use says of the published OpenAPI documents."""

import json
import os
import subprocess

import pytest
import toolbox

pytestmark = pytest.mark.foreign
# It would ask its makers for a newer release, and wait for their answer.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


@pytest.mark.parametrize("name", ["openapi.json", "control-openapi.json"])
def test_the_linter_finds_no_error_and_nothing_to_warn_of(tmp_path, name):
    linter = toolbox.required(toolbox.redocly)
    document = toolbox.ROOT / "docs" / "schemas" / name
    done = subprocess.run(
        [linter, "lint", document, "--extends", "recommended", "--format", "json"],
        cwd=tmp_path,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, report
    assert done.returncode == 0
