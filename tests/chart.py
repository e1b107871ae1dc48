"""Renders the chart and finds things in what came out."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import toolbox
import yaml

CHART = toolbox.ROOT / "helm" / "fraud-scoring"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
LEAST = ("redis.url=redis://redis:6379/0", "kafka.bootstrap=kafka:9092")

Manifest = dict[str, Any]


def run(helm: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [helm, *words], capture_output=True, text=True, check=False, timeout=60
    )


@cache
def rendered(helm: Path, *words: str | Path) -> list[Manifest]:
    """What the chart makes of these values; rendered once, so change nothing in it."""
    done = run(helm, "template", "pay", CHART, "--namespace", "risk", *words)
    assert done.returncode == 0, done.stderr
    return parsed(done.stdout)


def parsed(text: str) -> list[Manifest]:
    """The manifests of a text of YAML, by the parser that is written in C."""
    return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one]


def with_values(values: Path) -> list[str | Path]:
    return ["--values", values]


def setting(*pairs: str) -> list[str]:
    return [word for pair in (*LEAST, *pairs) for word in ("--set", pair)]


def one(manifests: list[Manifest], kind: str, ending: str = "") -> Manifest:
    found = [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and manifest["metadata"]["name"].endswith(ending)
    ]
    assert len(found) == 1, (kind, ending, len(found))
    return found[0]


def pods(manifests: list[Manifest]) -> list[Manifest]:
    templates = [
        m["spec"]["template"] for m in manifests if m["kind"] in {"Deployment", "Job"}
    ]
    templates += [
        m["spec"]["jobTemplate"]["spec"]["template"]
        for m in manifests
        if m["kind"] == "CronJob"
    ]
    return [*templates, *(m for m in manifests if m["kind"] == "Pod")]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
