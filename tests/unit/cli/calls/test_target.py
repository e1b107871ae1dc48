"""Which service is called and how: from options, from the environment."""

import pytest

from scoring.cli.calls import target
from scoring.cli.calls.commands import parser, run
from scoring.settings import Settings


def test_no_variable_of_a_command_is_a_setting_of_the_service():
    settings = {f"SCORING_{name.upper()}" for name in Settings.model_fields}
    assert not settings & set(target.VARIABLES)
    assert not [name for name in settings if target.is_target(name)]


@pytest.mark.parametrize("variable", target.VARIABLES)
def test_the_environment_says_what_no_option_does(variable, monkeypatch):
    monkeypatch.setenv(variable, "from-there")
    options = vars(parser().parse_args(["decision", "t1"]))
    assert [name for name, value in options.items() if value == "from-there"] == [
        option[2:].replace("-", "_")
        for option, own, _ in target._OPTIONS
        if own == variable
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--token-file", "t"], "--token-file: needs TLS"),
        (["--server-name", "s"], "--server-name: needs TLS"),
        (["--tls", "yes", "--cert-file", "c"], "--cert-file: and --key-file"),
        (["--tls", "perhaps"], "--tls: must be yes or no"),
        (["--target", "http://h:1"], "--target: is host:port, also in SCORING_TARGET"),
        (["--target", "HTTPS://h:1"], "leave out HTTPS://; --tls yes encrypts"),
        (["--timeout", "0"], "--timeout: must be seconds"),
        (["--timeout", "inf"], "--timeout: must be seconds"),
        (["--timeout", "soon"], "--timeout: must be seconds"),
        (["--ca-file", "/nowhere.pem"], "/nowhere.pem: No such file"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_called(words, said, capsys):
    assert run(["decision", "t1", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_variable_that_is_misspelt_is_named_with_the_nearest(monkeypatch, capsys):
    monkeypatch.setenv("SCORING_TARGET_CAFILE", "s3cret")
    assert run(["decision", "t1", "--timeout=no"]) == 2
    said = capsys.readouterr().err
    assert "SCORING_TARGET_CAFILE is not read; the nearest: SCORING_TARGET_CA_" in said
    assert "s3cret" not in said
