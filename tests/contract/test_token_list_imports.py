"""Files of tokens for managed lists, and undoing one, on every database."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from control_parts import EVE, FAY, Clock
from token_list_parts import NOON_MS, WHO, following, put

from scoring.control.desks.list_desk import FileWish, ListDesk
from scoring.control.domain.people import By
from scoring.core.release.list_release import FOREVER_MS
from scoring.errors import (
    BadArtifact,
    NotFound,
    NotPossible,
)


@pytest.fixture
def bench(control_database, tmp_path):
    with following(control_database, tmp_path / "lists") as bench:
        yield bench


def test_a_file_says_first_what_it_changes_and_then_changes_it_at_once(bench):
    for token in ("kept", "later", "gone"):
        put(bench, token)
    text = "token,expires,reason\nkept,,\nlater,2026-03-01T12:00:00Z,\nnew,,stolen\n"
    read = bench.read(text + "new,,stolen\n", replaces=True)
    told = (read.diff.added, read.diff.changed, read.diff.removed, read.diff.unchanged)
    assert told == (1, 1, 1, 1)
    assert read.diff.repeated == 1
    assert bench.until("stolen", "new") == 0  # a dry run until it is applied
    bench.desk.apply(WHO, "stolen", read.number, revision=read.revision)
    held = {t: bench.until("stolen", t) for t in ("kept", "later", "new", "gone")}
    assert held == {"kept": FOREVER_MS, "later": NOON_MS, "new": FOREVER_MS, "gone": 0}
    assert bench.info().count == 3


def test_the_audit_says_which_file_was_imported_and_how_many_rows_it_had(bench):
    put(bench, "kept")
    text = "token,reason\nkept,again\nnew,\nnew,\n"
    done = bench.imported(text)
    with bench.desk.read(EVE) as work:
        told = [json.loads(each.after) for each in work.audit.entries()][-1]
    assert told == {
        "import": done.number,
        "source": "cards.csv",
        "sha256": sha256(text.encode()).hexdigest(),
        "rows": 3,
        "added": 1,
        "changed": 1,
        "removed": 0,
        "unchanged": 0,
        "repeated": 1,
    }


def test_a_file_adds_to_its_list_unless_it_is_to_replace_it(bench):
    put(bench, "kept")
    assert bench.imported("token\nnew\n").diff.removed == 0
    assert bench.until("stolen", "kept") == FOREVER_MS


def test_an_import_is_undone_but_for_what_was_changed_since(bench):
    put(bench, "later", "2026-03-01T12:00:00Z")
    put(bench, "gone")
    done = bench.imported(
        '{"token": "later"}\n{"token": "a"}\n{"token": "b"}\n', replaces=True
    )
    put(bench, "b", "2026-03-01T12:00:00Z")
    bench.desk.undo(WHO, "stolen", done.number)
    held = {t: bench.until("stolen", t) for t in ("later", "gone", "a", "b")}
    assert held == {"later": NOON_MS, "gone": FOREVER_MS, "a": 0, "b": NOON_MS}
    assert bench.info().count == 3
    with pytest.raises(NotPossible, match="is undone; only one that is applied"):
        bench.desk.undo(WHO, "stolen", done.number)


def test_undoing_an_import_lists_nothing_that_was_taken_off_since(bench):
    put(bench, "cleared", "2026-03-01T12:00:00Z")
    put(bench, "dropped")
    done = bench.imported("token\ncleared\n", replaces=True)
    put(bench, "dropped")
    for token in ("cleared", "dropped"):
        bench.desk.take_off(WHO, "stolen", token)
    bench.desk.undo(WHO, "stolen", done.number)
    assert [bench.until("stolen", t) for t in ("cleared", "dropped")] == [0, 0]
    assert bench.info().count == 0


def test_imports_are_undone_the_newest_first(bench):
    first, second = bench.imported("token\na\n"), bench.imported("token\nb\n")
    with pytest.raises(NotPossible, match=f"undo import {second.number} "):
        bench.desk.undo(WHO, "stolen", first.number)


def test_an_import_is_applied_once(bench):
    done = bench.imported("token\na\n")
    with pytest.raises(NotPossible, match="is applied; only one that is read"):
        bench.desk.apply(WHO, "stolen", done.number)


def test_a_file_that_was_read_a_day_ago_is_read_again(bench):
    put(bench, "kept")
    read = bench.read("token\na\n", replaces=True)
    later = Clock()
    later.days(1.1)
    ListDesk(bench.database, later).read_file(
        WHO, "stolen", FileWish(source="cards.csv"), [b"token\n", b"b\n"]
    )
    with pytest.raises(NotPossible, match="is lapsed; only one that is read"):
        bench.desk.apply(WHO, "stolen", read.number)
    assert bench.until("stolen", "kept") == FOREVER_MS


def test_a_file_of_a_list_that_is_deleted_meanwhile_reaches_no_other_list(
    bench, monkeypatch
):
    monkeypatch.setattr("scoring.control.desks.list_desk._STAGED_COUNT", 1)
    bench.desk.create(WHO, "cleared", kind="allow", field="card")
    others = []

    def lines():
        yield b"token\n"
        yield b"a\n"
        bench.desk.delete(By(FAY, "not used any more"), "stolen")
        of_it = FileWish(source="good.csv")
        others.append(bench.desk.read_file(WHO, "cleared", of_it, [b"token\n", b"g\n"]))
        yield b"b\n"

    with pytest.raises(NotFound):
        bench.desk.read_file(WHO, "stolen", FileWish(source="cards.csv"), lines())
    bench.desk.apply(WHO, "cleared", others[0].number)
    assert [bench.until("cleared", t) for t in "abg"] == [0, 0, FOREVER_MS]
    with bench.desk.read(EVE) as work:
        assert work.imports.staged() == 0


BAD_FILES = [
    ("", "cards.csv:1: token: there is none"),
    ("card\nc1\n", "cards.csv:1: token: the first line does not name it"),
    ("token,until\nc1,\n", "cards.csv:1: until: no such column"),
    ("token,token\nc1,c1\n", "cards.csv:1: the first line names a column twice"),
    ("token\n", "cards.csv:1: token: there is none"),
    ("token\nc1,c2\n", "cards.csv:2: has 2 columns, the first line 1"),
    ("token,expires\nc1\n", "cards.csv:2: has 1 columns, the first line 2"),
    ('token\n"c1\n', "cards.csv:2: is no CSV"),
    ("token\nc1\n4111111111111111\n", "cards.csv:3: token: holds a card number"),
    ("token\n4111 1111 1111 1111\n", "cards.csv:2: token: holds a card number"),
    ("token\n c1\n", "cards.csv:2: token: begins or ends with a blank"),
    ("token\nc\x001\n", "cards.csv:2: token: never occurs: it must be printable"),
    ("token\n" + "c" * 300 + "\n", "cards.csv:2: token: is required, at most"),
    ("token,expires\nc1,tomorrow\n", "cards.csv:2: expires: 'tomorrow' is no instant"),
    (
        "token,expires\nc1,2026-03-01\n",
        "cards.csv:2: expires: '2026-03-01' has no time",
    ),
    ("token,expires\nc1,1970-01-01T00:00:00Z\n", "cards.csv:2: expires: '1970"),
    ("token,expires\nc1,2200-01-01T00:00:00Z\n", "cards.csv:2: expires: '2200"),
    ("token,reason\nc1," + "r" * 201 + "\n", "cards.csv:2: reason: at most 200"),
    ("token,reason\nc1,card 4111111111111111\n", "cards.csv:2: reason: holds a card"),
    (
        "token,expires\nc1,\nc1,2026-03-01T12:00:00Z\n",
        "cards.csv:3: token: 'c1' is here again with another expiry",
    ),
    ('{"token": "c1"}\n{"token": 7}\n', "cards.csv:2: token: must be a text"),
    ('{"token": "c1"}\n["c2"]\n', "cards.csv:2: token: is required"),
    ('{"token": "c1"}\n{"token": "c2"\n', "cards.csv:2: is not JSON"),
    ('{"token": "c1", "until": "x"}\n', "cards.csv:1: until: no such field"),
    ("token\n" + "c" * 10_001 + "\n", "cards.csv:2: is longer than 10000 characters"),
]


@pytest.mark.parametrize(("text", "told"), BAD_FILES)
def test_a_file_with_a_mistake_is_refused_whole_with_its_line(bench, text, told):
    put(bench, "kept")
    before = bench.info()
    with pytest.raises(BadArtifact) as refused:
        bench.read(text)
    assert told in str(refused.value)
    assert bench.info() == before
    with bench.desk.read(EVE) as work:
        assert work.imports.staged() == 0
    with pytest.raises(NotPossible, match="is refused; only one that is read"):
        bench.desk.apply(WHO, "stolen", 1)


def test_every_mistake_of_a_file_is_told_at_once(bench):
    with pytest.raises(BadArtifact) as refused:
        bench.read("token\n4111111111111111\ngood\n a\n")
    assert [line.split(":")[1] for line in str(refused.value).splitlines()] == [
        "2",
        "4",
    ]


def test_a_file_that_is_not_utf_8_is_refused(bench):
    with pytest.raises(BadArtifact, match=r"cards.csv:2: is not UTF-8"):
        bench.desk.read_file(
            WHO, "stolen", FileWish(source="cards.csv"), [b"token\n", b"\xe9\n"]
        )
