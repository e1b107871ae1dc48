"""The command line: what is refused is one plain line, without secrets."""

import subprocess
import sys

import pytest

from scoring.core.catalogue import default_catalogue


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
    assert run("--version").stdout.strip() == "0.1.0"


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


def test_a_store_url_that_is_none_is_one_line_that_does_not_repeat_it(tmp_path):
    refused = run("serve", SCORING_REDIS_URL="s3cret", SCORING_STATE_DIR=str(tmp_path))
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "s3cret" not in refused.stderr


@pytest.mark.parametrize("columns", ["80", "200"])
def test_every_feature_stands_whole_in_the_table_on_a_terminal_of_any_width(columns):
    printed = run("features", "describe", COLUMNS=columns).stdout
    first = {line.split()[0] for line in printed.splitlines() if line.strip()}
    assert set(default_catalogue().names) <= first
