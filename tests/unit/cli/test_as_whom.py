"""As whom a command works on the control plane's database."""

from __future__ import annotations

import os
import pwd

import pytest
from typer.testing import CliRunner

from scoring.cli.audit import app
from scoring.cli.options.control import control_at
from scoring.client.control_plane import Refused


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("SCORING_STATE_DIR", str(tmp_path))
    for name in ("URL", "TOKEN_FILE", "DATABASE_URL"):
        monkeypatch.delenv(f"SCORING_CONTROL_{name}", raising=False)
    return tmp_path


def whoever(**options):
    with control_at(**options) as api:
        return api.get("me").json


def test_no_variable_says_who_is_at_the_shell(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "bob")
    assert whoever()["name"] == pwd.getpwuid(os.getuid()).pw_name.lower()


def test_a_user_whom_the_system_does_not_name_is_its_number(monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_001)
    assert whoever()["name"] == "uid 4000000001"


def test_whoever_names_a_token_has_its_roles_on_the_database_too(database, monkeypatch):
    with control_at() as api:
        given = api.post("people", body={"name": "ann", "roles": ["author"]}).json
    file = database / "ann.token"
    file.write_text(given["token"])
    assert whoever(token_file=file)["roles"] == ["author"]
    monkeypatch.setenv("SCORING_CONTROL_TOKEN_FILE", str(file))
    assert whoever()["name"] == "ann"
    with control_at() as api, pytest.raises(Refused, match="may not administer"):
        api.post("people", body={"name": "eve", "roles": ["admin"]})
    file.write_text("fsc_" + "a" * 43)
    with control_at() as api, pytest.raises(Refused, match="people add"):
        api.get("me")


def test_an_audit_without_such_an_entry_says_so():
    done = CliRunner().invoke(app, ["log", "--action", "policy.trip"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no entry" in done.stderr
