"""The package without extras: small, alone, and able to call a running service."""

import json
import re
import sys

import pytest
import toolbox
from light import SIZE_MB_MAX
from served import serving

from scoring.__main__ import commands
from scoring.cli.calls import SUMMARIES
from scoring.extras import MODULES, install, of_command

ALONE = {"fraud-scoring", "grpcio", "protobuf", "iso3166", "iso4217"}
# What gRPC itself requires.
BESIDE = {"typing-extensions"}
CALL = """
import json, os, sys, time
before = set(sys.modules)
from scoring.client import Client, Transaction
now = int(time.time() * 1000)
payment = Transaction("default", "light-1", occurred_at_ms=now, amount_minor=990,
                      currency="EUR", card="tok-light")
with Client(os.environ["GRPC"], timeout_s=10.0) as client:
    core = client.check(payment).core
print(json.dumps({
    "outcome": core.outcome,
    "reasons": [reason.code for reason in core.reasons],
    "modules": sorted(set(sys.modules) - before),
}))
"""


@pytest.fixture(scope="module")
def address(store_url, model_dir, tmp_path_factory):
    """A running `scoring serve` that a slow machine does not hurry."""
    with serving(
        redis_url=store_url,
        namespace="light",
        model_dir=model_dir,
        budget_ms=5_000,
        store_budget_ms=2_000,
        state_dir=tmp_path_factory.mktemp("light-server"),
    ) as served:
        yield served.address


def test_it_is_grpc_protobuf_two_tables_of_codes_and_us(light):
    assert light.packages == ALONE | BESIDE


def test_it_is_as_small_as_the_guide_says(light):
    guide = (toolbox.ROOT / "docs" / "guide-sre.md").read_text()
    (said_mb,) = re.findall(r"that call a service; (\d+) MB", guide)
    assert light.size_mb < SIZE_MB_MAX
    assert light.size_mb == pytest.approx(int(said_mb), rel=0.1)


def test_its_client_is_answered_and_imports_nothing_of_the_server(light, address):
    done = light.python(CALL, GRPC=address)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outcome"] in {1, 2, 3, 4}
    assert told["reasons"]
    foreign = {name.partition(".")[0] for name in told["modules"]}
    foreign -= set(sys.stdlib_module_names)
    assert {name for name in foreign if not name.startswith("_")} <= {
        *("scoring", "grpc", "google", "iso3166", "iso4217", "typing_extensions"),
        "cython_runtime",
    }
    rooms = {".".join(name.split(".")[:2]) for name in told["modules"]}
    ours = {name for name in rooms if name.startswith("scoring.")}
    assert ours == {
        *("scoring.client", "scoring.core", "scoring.errors"),
        *("scoring.ports", "scoring.v1", "scoring.wire"),
    }


def test_its_help_lists_every_command_and_how_to_install_what_it_needs(light):
    shown = light.scoring("--help")
    assert shown.returncode == 0, shown.stderr
    every = [*SUMMARIES, *commands()]
    assert all(f"\n  {name} " in shown.stdout for name in every)
    assert all(extra in shown.stdout for extra in [*MODULES, "train-gpu"])
    assert "pip install 'fraud-scoring[NAME]'" in shown.stdout
    assert light.scoring("--version").stdout.strip() == toolbox.VERSION


@pytest.mark.parametrize("command", [*commands(), "features audit"])
def test_a_command_says_in_one_line_the_one_install_that_it_needs(light, command):
    words = command.split()
    refused = light.scoring(*words, "--help")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"scoring: `scoring {words[0]}` needs")
    assert line.endswith(install(of_command(words)))


def test_what_is_no_command_is_refused_by_its_name(light):
    refused = light.scoring("shcore")
    assert refused.returncode == 2
    assert "shcore: no such command" in refused.stderr
