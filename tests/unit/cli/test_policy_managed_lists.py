"""A policy's managed lists are named by its commands, with what is known of them."""

import pytest
from small_policy import SMALL
from token_list_parts import listed
from typer.testing import CliRunner

from scoring.__main__ import assemble

NOW_MS = 1_772_366_400_000
LISTED = """lists:
  stolen: {field: card, then: decline, reason_code: BLOCKED, managed: true}
"""


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Runs a command on the policy: its status, and what it said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(SMALL + LISTED)

    def run(*words):
        done = CliRunner().invoke(assemble(), ["policy", *words])
        return done.exit_code, " ".join(done.output.split())

    return run


def test_a_managed_list_is_named_where_no_control_plane_is(said):
    for command in ("check", "show"):
        status, text = said(command, "p.yaml")
        assert status == 0
        assert "its entries are the control plane's" in text
    assert "managed list stolen:" in said("check", "p.yaml")[1]


def test_its_entries_and_revision_are_said_where_the_control_plane_has_it(said):
    listed("sqlite:///kept.db", "stolen", "c1", "c2", at_ms=NOW_MS)
    for command in ("check", "show"):
        status, text = said(command, "p.yaml", "--database", "sqlite:///kept.db")
        assert (status, "2 entries, revision 3" in text) == (0, True), text


def test_a_list_that_the_control_plane_lacks_fails_the_check_with_its_remedy(said):
    listed("sqlite:///kept.db", "others", at_ms=NOW_MS)
    status, text = said("check", "p.yaml", "--database", "sqlite:///kept.db")
    assert status == 1
    assert "`scoring lists create stolen --field card` makes it" in text


def test_a_list_of_another_field_fails_the_check(said, tmp_path):
    listed("sqlite:///kept.db", "stolen", "c1", at_ms=NOW_MS)
    text = SMALL + LISTED.replace("field: card", "field: device")
    (tmp_path / "p.yaml").write_text(text)
    status, text = said("check", "p.yaml", "--database", "sqlite:///kept.db")
    assert status == 1
    assert "is of card, the policy asks device" in text
