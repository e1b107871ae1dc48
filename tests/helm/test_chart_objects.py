"""What the chart installs: restricted, selected, rolled, drained and fenced."""

import json

import pytest
import yaml
from chart import CHART, VALUES, containers, one, pods, rendered, setting, with_values

from scoring.telemetry.http_port import LIVENESS_PATH

# What fences all jobs, and what is scraped of all pods.
OF_SEVERAL = ("-jobs", "-metrics")
SELECTORS = {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}


def test_the_least_that_is_said_installs_both_workloads(helm):
    manifests = rendered(helm, *setting())
    commands = {
        m["metadata"]["name"]: m["spec"]["template"]["spec"]["containers"][0]["args"]
        for m in manifests
        if m["kind"] == "Deployment"
    }
    assert commands == {
        "pay-fraud-scoring-serve": ["serve"],
        "pay-fraud-scoring-stream": ["stream"],
    }


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_every_pod_is_restricted(newest_helm, values):
    for pod in pods(rendered(newest_helm, *with_values(values))):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        profile = pod["spec"]["securityContext"]["seccompProfile"]
        assert profile == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_selectors_select_the_pods_they_mean(newest_helm, values):
    manifests = rendered(newest_helm, *with_values(values))
    labels = [pod["metadata"]["labels"].items() for pod in pods(manifests)]
    for manifest in manifests:
        spec = manifest.get("spec", {})
        selector = (
            spec.get("podSelector") or spec.get("selector") or {"matchLabels": {}}
        )
        wanted = selector.get("matchLabels", selector).items()
        chosen = sum(wanted <= have for have in labels)
        if manifest["metadata"]["name"].endswith(OF_SEVERAL):
            assert chosen >= 1, manifest["metadata"]["name"]
        elif manifest["kind"] in SELECTORS:
            assert chosen == 1, manifest["metadata"]["name"]


def test_credentials_are_named_and_never_written(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/secrets-values.yaml"))
    assert not [m for m in manifests if m["kind"] == "Secret"]
    settings = one(manifests, "ConfigMap", "-settings")["data"]
    assert "SCORING_REDIS_URL" not in settings
    for pod in (one(manifests, "Deployment", door) for door in ("-serve", "-stream")):
        env = {
            entry["name"]: entry
            for entry in pod["spec"]["template"]["spec"]["containers"][0]["env"]
        }
        assert env["SCORING_REDIS_URL"]["valueFrom"]["secretKeyRef"] == {
            "name": "redis-url",
            "key": "url",
        }


def test_sentinels_are_named_and_their_password_is_not(newest_helm):
    values = CHART / "ci/sentinels-values.yaml"
    manifests = rendered(newest_helm, *with_values(values))
    settings = one(manifests, "ConfigMap", "-settings")["data"]
    assert settings["SCORING_REDIS_URL"] == "redis://mymaster/0"
    assert settings["SCORING_REDIS_SENTINELS"].count("26379") == 2
    pod = one(manifests, "Deployment", "-serve")["spec"]["template"]["spec"]
    env = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
    for name, key in (("PASSWORD", "password"), ("USERNAME", "user")):
        told = env[f"SCORING_REDIS_SENTINEL_{name}"]["valueFrom"]["secretKeyRef"]
        assert told == {"name": "sentinels", "key": key}


def test_a_change_of_the_policy_rolls_both_workloads(newest_helm):
    before = rendered(newest_helm, *setting())
    after = rendered(newest_helm, *setting("policy.content=version: 2"))
    for door in ("-serve", "-stream"):
        checksums = {
            one(manifests, "Deployment", door)["spec"]["template"]["metadata"][
                "annotations"
            ]["checksum/config"]
            for manifests in (before, after)
        }
        assert len(checksums) == 2


def test_a_file_reaches_the_pod_as_it_was_given(newest_helm, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text('version: 3\nrules:\n  - when: "amount > 5"\n')
    manifests = rendered(
        newest_helm, *setting(), "--set-file", f"policy.content={policy}"
    )
    files = one(manifests, "ConfigMap", "-files")["data"]
    assert files["policy.yaml"].strip() == policy.read_text().strip()
    settings = one(manifests, "ConfigMap", "-settings")["data"]
    assert settings["SCORING_POLICY_FILE"] == "/etc/scoring/policy.yaml"


def test_one_pod_has_no_disruption_budget_to_block_its_node(newest_helm):
    manifests = rendered(newest_helm, *setting("serve.replicas=1", "stream.replicas=1"))
    assert not [m for m in manifests if m["kind"] == "PodDisruptionBudget"]


def test_a_scaled_workload_leaves_its_replicas_to_the_scaler(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/autoscaled-values.yaml"))
    deployment = one(manifests, "Deployment", "-serve")
    assert "replicas" not in deployment["spec"]
    target = one(manifests, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target["name"] == deployment["metadata"]["name"]


def test_keys_certificates_and_rates_are_mounted_so_that_a_change_is_seen(newest_helm):
    for values, volume in (
        ("configured", "jwks"),
        ("configured", "rates"),
        ("secrets", "client-ca"),
    ):
        manifests = rendered(
            newest_helm, *with_values(CHART / f"ci/{values}-values.yaml")
        )
        pod = one(manifests, "Deployment", "-serve")["spec"]["template"]["spec"]
        assert volume in {one["name"] for one in pod["volumes"]}
        mounts = {m["name"]: m for m in pod["containers"][0]["volumeMounts"]}
        # A mount of a single file (subPath) would keep what it was at the start.
        assert "subPath" not in mounts[volume]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_every_file_that_a_pod_is_told_of_is_mounted_there(newest_helm, values):
    manifests = rendered(newest_helm, *with_values(values))
    shared = one(manifests, "ConfigMap", "-settings")["data"]
    files = one(manifests, "ConfigMap", "-files").get("data") or {}
    for pod in pods(manifests):
        container = pod["spec"]["containers"][0]
        told = {e["name"]: e.get("value") for e in container.get("env", [])}
        if "envFrom" in container:
            told = shared | told
        mounted = {m["mountPath"]: m["name"] for m in container.get("volumeMounts", [])}
        volumes = {one["name"] for one in pod["spec"].get("volumes", [])}
        assert set(mounted.values()) <= volumes
        for name, path in told.items():
            if name.endswith("_FILE"):
                folder, _, file = path.rpartition("/")
                assert folder in mounted, f"{container['name']}: {name}={path}"
                assert mounted[folder] != "files" or file in files


def test_the_kubelet_asks_the_plaintext_health_port(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/secrets-values.yaml"))
    serve = one(manifests, "Deployment", "-serve")["spec"]["template"]["spec"]
    container = serve["containers"][0]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"]["port"] == 50052
    assert container["livenessProbe"]["grpc"]["service"] == "liveness"


def test_a_stream_worker_is_alive_while_it_goes_forward(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/secrets-values.yaml"))
    stream = one(manifests, "Deployment", "-stream")
    container = stream["spec"]["template"]["spec"]["containers"][0]
    asked = container["livenessProbe"]["httpGet"]
    assert asked == {"path": LIVENESS_PATH, "port": "metrics"}


def test_a_pod_waits_for_connections_to_leave_at_their_age(newest_helm):
    def given_s(*pairs):
        manifests = rendered(newest_helm, *setting(*pairs))
        serve = one(manifests, "Deployment", "-serve")
        return serve["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]

    assert given_s("settings.grpc_connection_age_s=60") == given_s() + 66


def test_a_pod_is_given_longer_than_it_drains(newest_helm):
    closing_s = 10  # to settle, commit and leave the group
    manifests = rendered(
        newest_helm,
        *setting("serve.drain.graceSeconds=60", "stream.drain.graceSeconds=70"),
    )
    for door, drain_s in (("-serve", 60), ("-stream", 70)):
        pod = one(manifests, "Deployment", door)["spec"]["template"]["spec"]
        env = {e["name"]: e.get("value") for e in pod["containers"][0]["env"]}
        assert float(env["SCORING_DRAIN_S"]) == drain_s
        drains_s = drain_s + float(env.get("SCORING_DRAIN_NOTICE_S", closing_s))
        assert pod["terminationGracePeriodSeconds"] > drains_s


def test_only_what_is_named_may_be_reached(newest_helm):
    values = CHART / "ci/restricted-network-values.yaml"
    manifests = rendered(newest_helm, *with_values(values))
    for door in ("-serve", "-stream"):
        spec = one(manifests, "NetworkPolicy", door)["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        ports = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
        assert ports == {53, 6379, 9092, 4317}
        assert all(rule["from"] for rule in spec["ingress"])
    asking = one(manifests, "Pod", "-test")["metadata"]["labels"].items()
    callers = one(manifests, "NetworkPolicy", "-serve")["spec"]["ingress"][0]["from"]
    assert any(
        peer.get("podSelector", {"matchLabels": {"": ""}})["matchLabels"].items()
        <= asking
        for peer in callers
    )


def test_the_control_plane_is_installed_with_its_alarms_where_it_is_wanted(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/control-values.yaml"))
    deployment = one(manifests, "Deployment", "-control")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry for entry in container["env"]}
    assert container["args"] == ["control"]
    assert env["SCORING_CONTROL_DATABASE_URL"]["valueFrom"] == {
        "secretKeyRef": {"name": "control-database", "key": "url"}
    }
    roles = {"fraud-leads": "approver", "fraud-analysts": "author"}
    assert json.loads(env["SCORING_CONTROL_ROLES"]["value"]) == roles
    settings = one(manifests, "ConfigMap", "-settings")["data"]
    assert settings["SCORING_POLICY_FROM"] == "control"
    assert one(manifests, "PodDisruptionBudget", "-control")
    fenced = one(manifests, "NetworkPolicy", "-control")["spec"]
    assert fenced["ingress"][0]["ports"] == [{"port": "api", "protocol": "TCP"}]
    ports = {port["port"] for rule in fenced["egress"] for port in rule["ports"]}
    assert ports == {53, 5432, 9092}
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    for rule in alerts["groups"][0]["rules"]:
        if rule.get("record") == "fraud:objective:ratio":
            target = {"answered": 0.9995, "undegraded": 0.99}
            rule["expr"] = f"vector({target[rule['labels']['objective']]})"
    assert one(manifests, "PrometheusRule")["spec"] == alerts


UNUSUAL = setting(
    "fullnameOverride=payments-production-europe-west-fraud-scoring-scores",
    *("redis.url=", "redis.existingSecret.name=live"),
    *("model.source=url", "model.url=s3://models/fraud"),
    *("control.enabled=true", "control.database.existingSecret.name=database"),
    "control.identity.proxies={10.0.0.7}",
    *("control.strategy.type=Recreate", "tests.clientSecret=tester"),
    *("archive.existingClaim=archive", "cron.archive.schedule=1 1 * * *"),
    *("jobs.topics.enabled=true", "jobs.promotion.version=0f3a5c7e9b1d2f4a"),
    "cron.rebuildDrill.schedule=1 1 * * *",
    "cron.rebuildDrill.redisSecret.name=drill",
    *("metrics.dashboards.enabled=true", "metrics.dashboards.labels=null"),
)


def test_the_longest_name_leaves_room_for_what_kubernetes_adds(newest_helm):
    for manifest in rendered(newest_helm, *UNUSUAL):
        name = manifest["metadata"]["name"]
        assert len(name) <= (52 if manifest["kind"] == "CronJob" else 63)


def test_no_container_is_told_a_variable_twice(newest_helm):
    manifests = rendered(newest_helm, *UNUSUAL)
    for pod in pods(manifests):
        for container in containers(pod):
            names = [entry["name"] for entry in container.get("env", ())]
            assert len(names) == len(set(names)), container["name"]
    drill = one(manifests, "CronJob", "-rebuild-drill")["spec"]["jobTemplate"]
    env = drill["spec"]["template"]["spec"]["containers"][0]["env"]
    (url,) = [entry for entry in env if entry["name"] == "SCORING_REDIS_URL"]
    assert url["valueFrom"]["secretKeyRef"] == {"name": "drill", "key": "url"}


def test_a_workload_that_is_recreated_is_not_rolled_as_well(newest_helm):
    control = one(rendered(newest_helm, *UNUSUAL), "Deployment", "-control")
    assert control["spec"]["strategy"] == {"type": "Recreate"}


def test_the_control_plane_can_load_a_model_that_is_proposed(newest_helm):
    control = one(rendered(newest_helm, *UNUSUAL), "Deployment", "-control")
    (container,) = containers(control["spec"]["template"])
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert not mounts["/model"].get("readOnly", False)


def test_a_test_without_tls_shows_no_certificate(newest_helm):
    test = one(rendered(newest_helm, *UNUSUAL), "Pod", "-test")
    (asking,) = test["spec"]["containers"]
    assert asking["command"][-1].endswith(":50051")
