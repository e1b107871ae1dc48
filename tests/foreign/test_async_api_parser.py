"""What AsyncAPI's own parser says of the published document."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import toolbox

pytestmark = pytest.mark.foreign
READER = Path(__file__).parent / "readers" / "asyncapi.js"
# We say 3.0, which is what most tools read, though there is a 3.1.
KNOWN = "asyncapi-latest-version: "


def test_the_parser_finds_nothing_wrong_and_every_schema():
    home = toolbox.required(toolbox.asyncapi_parser)
    done = subprocess.run(
        ["node", READER, toolbox.ROOT / "docs" / "schemas" / "asyncapi.json"],
        env=os.environ | {"NODE_PATH": str(home / "node_modules")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert all(told.startswith(KNOWN) for told in report["diagnostics"])
    for name, message in report["messages"].items():
        as_json = message["contentType"] == "application/json"
        assert bool(message["properties"]) == as_json, name
    assert "features" in report["messages"]["decisionsJson"]["properties"]
