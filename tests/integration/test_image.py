"""What the image installs is enough to serve and to stream, and holds no more."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import toolbox

DOCKERFILE = (toolbox.ROOT / "Dockerfile").read_text()
OFFLINE_ONLY = {"xgboost", "duckdb", "onnx", "sklearn", "pyarrow"}
DEVELOPMENT_ONLY = {"pytest", "hypothesis", "mypy", "grpc_tools"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The virtual environment of the image, made by the Dockerfile's own words."""
    home = tmp_path_factory.mktemp("image")
    for names in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in names.split():
            source = toolbox.ROOT / name
            if source.is_dir():
                shutil.copytree(source, home / name)
            else:
                shutil.copy(source, home / name)
    last_sync = re.findall(r"^RUN (uv sync .+)$", DOCKERFILE, re.MULTILINE)[-1]
    words = [toolbox.uv(), *last_sync.split()[1:]]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "VIRTUAL"))}
    done = subprocess.run(
        words, cwd=home, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and not os.environ.get("CI"):
        pytest.skip(f"the packages are not to be had: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return home / ".venv"


def python(installed: Path, words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [installed / "bin" / "python", "-c", words],
        capture_output=True,
        text=True,
        check=False,
        cwd=installed.parent.parent,
    )


@pytest.mark.parametrize(
    "module",
    [
        "scoring.bootstrap",
        "scoring.adapters.grpc_server",
        "scoring.adapters.redis_store",
        "scoring.adapters.onnx_model",
        "scoring.adapters.kafka_stream",
        "scoring.commands.serve",
        "scoring.commands.stream",
    ],
)
def test_both_workloads_import_with_what_the_image_has(installed, module):
    done = python(installed, f"import {module}")
    assert done.returncode == 0, done.stderr


def test_every_command_explains_itself_in_the_image(installed):
    done = subprocess.run(
        [installed / "bin" / "scoring", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout
    assert "stream" in done.stdout


@pytest.mark.parametrize("package", sorted(OFFLINE_ONLY | DEVELOPMENT_ONLY))
def test_the_image_holds_nothing_for_training_or_development(installed, package):
    assert python(installed, f"import {package}").returncode != 0


def test_the_image_carries_the_shipped_definitions(installed):
    words = (
        "from scoring.core.catalogue import default_catalogue as c;"
        "from scoring.core.shipped_policy import default_policy as p;"
        "print(p(c()).version)"
    )
    done = python(installed, words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_image_never_runs_as_root():
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["10001:10001"]
