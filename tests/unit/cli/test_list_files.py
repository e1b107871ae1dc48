"""A file goes into a list from the shell, and the audit says which file it was."""

import json
from hashlib import sha256

from typer.testing import CliRunner

from scoring.__main__ import assemble


def test_the_audits_hash_is_that_of_the_file_with_its_mark_and_its_line_ends(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shell, database = CliRunner(), ("--database", "sqlite:///kept.db")
    raw = "\ufefftoken,reason\r\nc1,stolen in Köln\r\n".encode()
    (tmp_path / "cards.csv").write_bytes(raw)
    for words in (
        ("create", "stolen", "--field", "card"),
        ("import", "stolen", "cards.csv"),
    ):
        done = shell.invoke(assemble(), ["lists", *words, *database])
        assert done.exit_code == 0, done.output
    out = shell.invoke(assemble(), ["audit", "export", *database]).output
    (entry,) = [line for line in out.splitlines() if '"list.import"' in line]
    after = json.loads(json.loads(entry)["after"])
    assert (after["sha256"], after["rows"]) == (sha256(raw).hexdigest(), 1)
