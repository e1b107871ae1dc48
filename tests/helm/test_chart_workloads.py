"""What a cluster needs beside doors: console, jobs, certificates, shapes of pods."""

import json

from chart import CHART, one, pods, rendered, with_values
from typer.main import get_command

from scoring.__main__ import assemble
from scoring.kafka.topic_names import Topics


def env_of(pod):
    return {entry["name"]: entry for entry in pod["spec"]["containers"][0]["env"]}


def spec_of(manifests, ending):
    return one(manifests, "Deployment", ending)["spec"]["template"]["spec"]


def test_the_console_reaches_the_control_plane_and_the_service_of_its_release(
    newest_helm,
):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/console-values.yaml"))
    console = one(manifests, "Deployment", "-console")["spec"]
    assert console["replicas"] == 1
    env = env_of(console["template"])
    addresses = {
        f"{m['metadata']['name']}.risk.svc:{port['port']}"
        for m in manifests
        if m["kind"] == "Service"
        for port in m["spec"]["ports"]
    }
    assert env["SCORING_TARGET"]["value"] in addresses
    assert env["SCORING_CONTROL_URL"]["value"].removeprefix("http://") in addresses
    for asked in ("-control", "-serve"):
        (rule, *_) = one(manifests, "NetworkPolicy", asked)["spec"]["ingress"]
        assert rule["from"] == [{"podSelector": {}}]
    assert one(manifests, "Service", "-console")


def test_a_console_is_let_in_where_only_some_are(newest_helm):
    values = with_values(CHART / "ci/console-values.yaml")
    some = [{"namespaceSelector": {}}]
    only = f"networkPolicy={json.dumps({'callers': some, 'operators': some})}"
    manifests = rendered(newest_helm, *values, "--set-json", only)
    for asked in ("-control", "-serve"):
        (rule, *_) = one(manifests, "NetworkPolicy", asked)["spec"]["ingress"]
        console = rule["from"][-1]["podSelector"]["matchLabels"]
        assert console["app.kubernetes.io/component"] == "console"


def test_backtests_read_the_archive_that_a_cron_job_fills(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/console-values.yaml"))
    control = one(manifests, "Deployment", "-control")["spec"]["template"]
    archive = one(manifests, "CronJob", "-archive")["spec"]["jobTemplate"]["spec"]
    for pod, read_only in ((control, True), (archive["template"], None)):
        told = env_of(pod)["SCORING_ARCHIVE_DIR"]["value"]
        (mount,) = [
            m
            for m in pod["spec"]["containers"][0]["volumeMounts"]
            if m["mountPath"] == told
        ]
        assert mount.get("readOnly") is read_only
    proxies = env_of(control)["SCORING_CONTROL_PROXIES"]["value"]
    assert json.loads(proxies) == ["10.0.0.7"]
    (state,) = [v for v in control["spec"]["volumes"] if v["name"] == "state"]
    assert state["emptyDir"] == {"sizeLimit": "20Gi"}


def test_jobs_run_commands_that_there_are(newest_helm):
    ran = set()
    for values in ("console", "shaped"):
        manifests = rendered(
            newest_helm, *with_values(CHART / f"ci/{values}-values.yaml")
        )
        accounts = {
            m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"
        }
        for pod in pods([m for m in manifests if m["kind"] in {"Job", "CronJob"}]):
            assert pod["spec"]["serviceAccountName"] in accounts
            assert pod["spec"]["restartPolicy"] == "Never"
            command, words = (
                get_command(assemble()),
                pod["spec"]["containers"][0]["args"],
            )
            while hasattr(command, "commands"):
                command, words = command.commands[words[0]], words[1:]
            command.make_context("job", list(words))
            ran.add(command.name)
    assert ran == {"create", "promote", "archive", "audit", "rebuild"}


def test_the_drill_never_touches_the_live_store(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/console-values.yaml"))
    drill = one(manifests, "CronJob", "-rebuild-drill")["spec"]["jobTemplate"]["spec"]
    env = env_of(drill["template"])
    secret = {"name": "drill-store", "key": "url"}
    assert env["SCORING_REDIS_URL"]["valueFrom"] == {"secretKeyRef": secret}
    assert env["SCORING_NAMESPACE"]["value"] == "drill"


def test_certificates_of_a_private_ca_are_mounted_where_both_are_told_of_them(
    newest_helm,
):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/private-ca-values.yaml"))
    url = one(manifests, "ConfigMap", "-settings")["data"]["SCORING_REDIS_URL"]
    told = [part.partition("=")[2] for part in url.partition("?")[2].split("&")]
    for door in ("-serve", "-stream"):
        pod = spec_of(manifests, door)
        options = json.loads(env_of({"spec": pod})["SCORING_KAFKA_OPTIONS"]["value"])
        assert options.pop("security_protocol") == "SSL"
        mounts = {
            m["mountPath"]: m["name"] for m in pod["containers"][0]["volumeMounts"]
        }
        volumes = {v["name"]: v for v in pod["volumes"]}
        for path in (*told, *options.values()):
            folder, _, file = path.rpartition("/")
            sources = volumes[mounts[folder]]["projected"]["sources"]
            files = {i["path"] for s in sources for i in s["secret"]["items"]}
            assert file in files
    (test,) = [m for m in manifests if m["kind"] == "Pod"]
    words = test["spec"]["containers"][0]["command"]
    assert words[-2:] == ["/etc/scoring-client/tls.crt", "/etc/scoring-client/tls.key"]


def test_pods_are_shaped_as_the_values_say(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/shaped-values.yaml"))
    serve = one(manifests, "Deployment", "-serve")["spec"]
    assert serve["strategy"]["rollingUpdate"] == {
        "maxSurge": "50%",
        "maxUnavailable": 0,
    }
    pod = serve["template"]["spec"]
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["serviceAccountName"] == "payments-scorer"
    assert [c["name"] for c in pod["containers"]] == ["serve", "agent"]
    assert [c["name"] for c in pod["initContainers"]] == ["agent"]
    (spread,) = pod["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "DoNotSchedule"
    container = pod["containers"][0]
    assert container["startupProbe"]["failureThreshold"] == 90
    assert {"name": "agent", "mountPath": "/run/agent"} in container["volumeMounts"]
    assert container["envFrom"][-1] == {"secretRef": {"name": "storage-credentials"}}
    scaler = one(manifests, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert {m["resource"]["name"] for m in scaler} == {"cpu", "memory"}


def test_every_process_of_a_pod_is_scraped(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/shaped-values.yaml"))
    container = spec_of(manifests, "-serve")["containers"][0]
    assert container["args"] == ["serve", "--workers", "4"]
    ports = {
        p["name"]: p["containerPort"]
        for p in container["ports"]
        if p["name"].startswith("metrics")
    }
    assert sorted(ports.values()) == [9464, 9465, 9466, 9467]
    monitor = one(manifests, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert {endpoint["port"] for endpoint in monitor} == set(ports)
    fence = one(manifests, "NetworkPolicy", "-serve")["spec"]["ingress"][-1]
    assert {port["port"] for port in fence["ports"]} == set(ports)


def test_lag_calls_for_no_more_workers_than_there_are_partitions(newest_helm):
    manifests = rendered(newest_helm, *with_values(CHART / "ci/shaped-values.yaml"))
    assert "replicas" not in one(manifests, "Deployment", "-stream")["spec"]
    scaled = one(manifests, "ScaledObject")["spec"]
    assert scaled["maxReplicaCount"] * 2 == 12  # two processes in each pod
    told = scaled["triggers"][0]["metadata"]
    topics = Topics("eu.")
    assert (told["topic"], told["consumerGroup"]) == (topics.transactions, topics.group)
    settings = one(manifests, "ConfigMap", "-settings")["data"]
    assert settings["SCORING_TOPIC_PREFIX"] == topics.prefix
