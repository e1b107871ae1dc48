"""The dashboards are what their panels declare, and read metrics that there are.

That no query is empty is shown in tests/e2e/test_dev.py, on a service at work.
"""

import json
import subprocess
import sys

import pytest
from chart import CHART, one, rendered, with_values
from promql import known_metrics, metrics_in

DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))


def test_the_dashboards_are_those_of_the_declared_panels(tmp_path):
    script = CHART.parent / "dashboards.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    fresh = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text() for path in DASHBOARDS}
    assert kept == fresh, "stale: run `make dashboards`"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_reads_metrics_there_are_and_says_what_they_mean(path):
    known = known_metrics()
    for panel in json.loads(path.read_text())["panels"]:
        asked = [target["expr"] for target in panel["targets"]]
        assert asked, panel["title"]
        read = set().union(*map(metrics_in, asked))
        assert read, asked
        assert read <= known, read - known
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)
        assert panel["description"] or not any(
            name.startswith(("fraud_", "rpc_", "http_")) for name in read
        )


def test_the_chart_gives_them_to_the_sidecar_of_grafana(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/control-values.yaml"))
    told = one(manifests, "ConfigMap", "-dashboards")
    assert told["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert told["metadata"]["annotations"] == {"grafana_folder": "Payments"}
    kept = {path.name: json.loads(path.read_text()) for path in DASHBOARDS}
    assert {name: json.loads(text) for name, text in told["data"].items()} == kept
