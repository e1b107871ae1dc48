"""The chart under two majors of helm, against its schema and Kubernetes'."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import toolbox
import yaml
from chart import (
    CHART,
    VALUES,
    Manifest,
    containers,
    one,
    pods,
    rendered,
    run,
    setting,
    with_values,
)

from scoring.cli.calls.target import VARIABLES
from scoring.models.signature import Trust
from scoring.settings import Settings

VALIDATE = ("-m", "kubernetes_validate", "--strict")
KUBERNETES = ("1.27.0", "1.29.0", "1.31.0", "1.34.0", "1.37.0")
# Their schemas come with the operators that define them.
FOREIGN_KINDS = {"PodMonitor", "PrometheusRule", "ScaledObject", "ServiceMonitor"}


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_every_set_of_values_passes_the_strict_linter(helm, values):
    done = run(helm, "lint", "--strict", CHART, *with_values(values))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_both_majors_of_helm_render_the_same(values):
    old, new = (
        toolbox.required(lambda version=version: toolbox.helm(version))
        for version in sorted(toolbox.HELM)
    )
    assert rendered(old, *with_values(values)) == rendered(new, *with_values(values))


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_set_of_values_renders_what_kubernetes_accepts(
    newest_helm, version, tmp_path
):
    schemas = toolbox.required(toolbox.kubernetes_validate)
    for values in VALUES:
        manifests = [
            manifest
            for manifest in rendered(newest_helm, *with_values(values))
            if manifest["kind"] not in FOREIGN_KINDS
        ]
        (tmp_path / values.name).write_text(yaml.safe_dump_all(manifests))
    done = subprocess.run(
        [sys.executable, *VALIDATE, "-k", version, *sorted(tmp_path.iterdir())],
        env={**os.environ, "PYTHONPATH": str(schemas)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_configured_is_what_the_service_reads(helm, monkeypatch):
    manifests = rendered(helm, *with_values(CHART / "ci/configured-values.yaml"))
    for name, value in one(manifests, "ConfigMap", "-settings")["data"].items():
        monkeypatch.setenv(name, value)
    for entry in one(manifests, "Deployment", "-serve")["spec"]["template"]["spec"][
        "containers"
    ][0]["env"]:
        if "value" in entry:  # else it stands in a secret
            monkeypatch.setenv(entry["name"], entry["value"])
    read = Settings()
    assert (read.budget_ms, read.dedupe_s, read.commit_interval_s) == (80, 691_200, 0.5)
    assert read.reflection
    assert read.numeric_ids == {"terminal", "merchant"}
    assert read.grpc_address == "0.0.0.0:50051"
    assert read.http_address == "0.0.0.0:8080"
    assert read.grpc_health_address == "0.0.0.0:50052"
    assert read.metrics_port == 9464
    assert str(read.model_dir) == "/model"
    assert str(read.jwt_jwks_file) == "/etc/scoring-jwks/jwks.json"
    assert (read.jwt_issuer, read.jwt_audience) == (
        "https://id.example.com",
        "fraud-scoring",
    )
    assert str(read.access_file) == "/etc/scoring/access.yaml"
    assert str(read.rates_file) == "/etc/scoring-rates/rates.csv"


def test_models_from_storage_are_mirrored_where_a_pod_may_write(helm, tmp_path):
    manifests = rendered(helm, *with_values(CHART / "ci/stream-only-values.yaml"))
    told = one(manifests, "ConfigMap", "-settings")["data"]
    assert told["SCORING_MODEL_URL"] == "s3://models/fraud"
    name = told["SCORING_MODEL_TRUST_FILE"].removeprefix("/etc/scoring/")
    trust = tmp_path / name
    trust.write_text(one(manifests, "ConfigMap", "-files")["data"][name])
    assert len(Trust.from_file(trust).keys) == 1
    pod = one(manifests, "Deployment", "-stream")["spec"]["template"]["spec"]
    mounts = {m["name"]: m for m in pod["containers"][0]["volumeMounts"]}
    assert mounts["model"]["readOnly"] is False
    (volume,) = [v for v in pod["volumes"] if v["name"] == "model"]
    assert "emptyDir" in volume


def test_every_environment_name_is_a_setting_of_the_service(newest_helm):
    known = {f"SCORING_{name.upper()}" for name in Settings.model_fields} | {"TZ"}
    known |= {"ORT_DISABLE_TELEMETRY", *VARIABLES}
    for values in VALUES:
        manifests = rendered(newest_helm, *with_values(values))
        named = set(one(manifests, "ConfigMap", "-settings")["data"])
        for pod in pods(manifests):
            for container in containers(pod):
                named |= {entry["name"] for entry in container.get("env", [])}
        assert named <= known, values.name


def test_the_reports_of_the_runtime_to_its_maker_are_off(newest_helm):
    for values in VALUES:
        manifests = rendered(newest_helm, *with_values(values))
        told = one(manifests, "ConfigMap", "-settings")["data"]
        assert told["ORT_DISABLE_TELEMETRY"] == "1"


def test_the_schema_offers_every_setting_that_the_chart_does_not_own(newest_helm):
    schema = json.loads((CHART / "values.schema.json").read_text())
    offered = set(schema["properties"]["settings"]["properties"])
    owned = {
        name.removeprefix("SCORING_").lower()
        for values in VALUES
        for manifest in rendered(newest_helm, *with_values(values))
        if manifest["kind"] in {"ConfigMap", "Deployment"}
        for name in chart_names(manifest)
    }
    # Who calls the control plane, or a proxy before it, is told by extraEnv.
    others = ("control_", "console_")
    run = {name for name in Settings.model_fields if not name.startswith(others)}
    unknown = run - offered - owned
    assert not unknown, f"describe under settings in values.schema.json: {unknown}"
    gone = offered - set(Settings.model_fields)
    assert not gone, f"remove from settings in values.schema.json: {gone}"


def chart_names(manifest: Manifest) -> set[str]:
    if manifest["kind"] == "ConfigMap":
        return set(manifest.get("data") or {})
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    return {entry["name"] for entry in container["env"]}


def test_the_schema_is_closed_and_describes_everything():
    def open_objects(node: Any, path: str) -> list[str]:
        found = [] if node.get("description") or not path else [f"{path}: no words"]
        if "properties" in node and node.get("additionalProperties") is not False:
            found.append(f"{path}: open")
        for name, child in node.get("properties", {}).items():
            found += open_objects(child, f"{path}.{name}")
        return found

    schema = json.loads((CHART / "values.schema.json").read_text())
    assert not open_objects(schema, "")


def test_every_default_is_a_value_that_the_schema_knows():
    def unknown(values: Any, schema: Manifest, path: str) -> list[str]:
        if not isinstance(values, dict) or "properties" not in schema:
            return []
        known = schema["properties"]
        missing = [f"{path}.{name}" for name in values if name not in known]
        return missing + [
            deeper
            for name in values.keys() & known.keys()
            for deeper in unknown(values[name], known[name], f"{path}.{name}")
        ]

    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert not unknown(defaults, schema, "")
    absent = schema["properties"].keys() - defaults.keys()
    assert absent == {"global"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("kafka.bootstrap=", "kafka.bootstrap"),
        ("redis.url=", "redis"),
        ("redis.url=redis://user:secret@redis:6379/0", "redis"),
        ("redis.existingSecret.name=both", "not both"),
        ("redis.sentinels=one", "sentinels"),
        ("redis.cluster=true,redis.sentinels=a:1", "no sentinels"),
        ("serve.replicas=many", "replicas"),
        ("serve.replica=3", "replica"),
        ("settings.budget_m=3", "budget_m"),
        ("settings.budget_ms=0", "budget_ms"),
        ("model.source=internet", "source"),
        ("model.existingClaim=", "model.existingClaim"),
        ("model.source=image", "model.image"),
        ("model.source=url", "model.url"),
        ("tls.clientCaSecret.name=ca", "tls.existingSecret"),
        ("access.content=callers", "tls.clientCaSecret.name or jwt"),
        ("jwt.jwksConfigMap.name=keys", "jwt.issuer and jwt.audience"),
        ("jwt.issuers=x", "issuers"),
        ("image.digest=latest", "digest"),
        ("control.enabled=true", "control.database.existingSecret.name"),
        (
            "control.enabled=true,control.database.existingSecret.name=db",
            "control.identity",
        ),
        ("console.enabled=true", "console.behindTls"),
        ("console.enabled=true,console.behindTls=true", "console.controlUrl"),
        ("cron.audit.schedule=@daily", "archive.existingClaim"),
        (
            "archive.existingClaim=a,cron.rebuildDrill.schedule=@daily",
            "cron.rebuildDrill.redisSecret.name",
        ),
        ("jobs.promotion.version=7,model.source=baked", "jobs.promotion.version"),
        (
            "metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true",
            "not both",
        ),
        ("metrics.objectives.answered=99.9", "metrics.objectives"),
        (
            "stream.autoscaling.enabled=true,stream.autoscaling.minReplicas=13",
            "stream.autoscaling.partitions",
        ),
        (
            "stream.autoscaling.enabled=true,stream.autoscaling.minReplicas=0",
            "stream.autoscaling.minReplicas",
        ),
        ("control.identity.roles.leads=boss", "control.identity.roles"),
        ("networkPolicy.redis.ports[0]=redis", "networkPolicy"),
    ],
)
def test_wrong_values_are_refused_by_name(helm, wrong, named):
    done = run(helm, "template", "pay", CHART, *setting(wrong))
    assert done.returncode != 0
    # helm 3 writes paths with dots, helm 4 with slashes.
    assert named in done.stderr.replace("/", "."), done.stderr


def test_the_chart_packs_and_the_pack_renders_the_same(helm, tmp_path):
    done = run(helm, "package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    pack = next(tmp_path.glob("*.tgz"))
    packed = run(helm, "template", "pay", pack, "--namespace", "risk", *setting())
    manifests = [m for m in yaml.safe_load_all(packed.stdout) if m]
    assert manifests == rendered(helm, *setting())


def test_the_readme_of_the_chart_describes_its_values():
    script = CHART.parent / "describe.py"
    done = subprocess.run([sys.executable, script], capture_output=True, check=True)
    fresh = done.stdout.decode()
    assert (CHART / "README.md").read_text() == fresh, "stale: run `make docs`"
