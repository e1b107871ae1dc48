"""Managed lists in the control plane, on every database: what people do with them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from control_parts import ANN, EVE, FAY, Clock, ControlBench, text

from scoring.control.database.unit_of_work import writing
from scoring.control.desks.list_desk import EntryWish, FileWish, ListDesk
from scoring.control.domain.people import By
from scoring.core.release.keys import control_key
from scoring.core.release.list_release import FOREVER_MS
from scoring.errors import (
    BadArtifact,
    ChangedMeanwhile,
    Denied,
    NotFound,
    NotPossible,
)
from scoring.lists.files import ListFiles
from scoring.lists.keeper import ListKeeper

NOON_MS = 1_772_366_400_000  # 2026-03-01T12:00:00Z
WHO = By(FAY, "as agreed")


@dataclass
class Bench:
    """A desk, and a process of the data plane that takes what it publishes."""

    database: object
    keeper: ListKeeper
    told: list = field(default_factory=list)

    @property
    def desk(self) -> ListDesk:
        return ListDesk(self.database, Clock())

    def follow(self) -> ListKeeper:
        """Relay what waits, in its order."""
        with writing(self.database) as work:
            records = work.outbox.unpublished(count_max=100_000)
            work.outbox.published([each.sequence for each in records], at_ms=1)
        self.keeper.take((control_key(each.key), each.value) for each in records)
        return self.keeper

    def until(self, name: str, token: str) -> int:
        """Until when the data plane holds a token listed."""
        held = self.follow().current.lists.get(name)
        return held.get(token, 0) if held else 0

    def audit(self) -> list[str]:
        with self.desk.read(EVE) as work:
            return [each.action for each in work.audit.entries()]

    def info(self, name: str = "stolen"):
        with self.desk.read(EVE) as work:
            return work.lists.named(name)

    def imported(self, text: str, **wish):
        read = self.read(text, **wish)
        return self.desk.apply(WHO, "stolen", read.number)

    def read(self, text: str, **wish):
        wish = FileWish(source="cards.csv", **wish)
        lines = text.encode().splitlines(keepends=True)
        return self.desk.read_file(WHO, "stolen", wish, lines)


@pytest.fixture
def bench(control_database, tmp_path):
    told = []
    keeper = ListKeeper(ListFiles(tmp_path / "lists"), told.append)
    keeper.open()
    bench = Bench(control_database, keeper, told)
    bench.desk.create(WHO, "stolen", kind="block", field="card", about="From the bank")
    yield bench
    assert told == []


def put(bench, token, expires="", **more):
    return bench.desk.put(
        WHO, "stolen", EntryWish(token=token, expires=expires), **more
    )


def test_a_token_is_listed_in_the_data_plane_until_its_instant(bench):
    put(bench, "c1", "2026-03-01T13:00:00+01:00")
    put(bench, "c2")
    assert bench.until("stolen", "c1") == NOON_MS
    assert bench.until("stolen", "c2") == FOREVER_MS
    assert bench.keeper.current.revision == bench.info().revision
    with bench.desk.read(EVE) as work:
        entry = work.lists.entry("stolen", "c1")
    assert (entry.author, entry.source, entry.until_ms) == ("fay", "by hand", NOON_MS)
    assert bench.audit() == ["list.create", "list.put", "list.put"]


def test_a_token_taken_off_is_off_everywhere(bench):
    put(bench, "c1")
    assert bench.until("stolen", "c1") == FOREVER_MS
    assert bench.desk.take_off(WHO, "stolen", "c1").changed
    assert bench.until("stolen", "c1") == 0
    assert bench.info().count == 0


def test_what_is_so_already_is_neither_a_revision_nor_an_entry_of_the_audit(bench):
    put(bench, "c1")
    before = (bench.info(), bench.audit())
    assert not put(bench, "c1").changed
    assert not bench.desk.take_off(WHO, "stolen", "c9").changed
    assert (bench.info(), bench.audit()) == before


def test_whoever_read_an_older_revision_is_told_what_changed_since(bench):
    read = bench.info().revision
    put(bench, "c1")
    with pytest.raises(ChangedMeanwhile, match="is at revision") as told:
        put(bench, "c2", revision=read)
    assert told.value.changes == (f"revision {read + 1}: 'c1' put on, by fay",)
    assert put(bench, "c2", revision=read + 1).changed


def test_only_who_may_change_lists_does(bench):
    with pytest.raises(Denied, match="may not change lists"):
        bench.desk.take_off(By(EVE), "stolen", "c1")
    with pytest.raises(Denied):
        bench.desk.create(By(EVE), "more", kind="plain", field="device")


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


def test_many_changes_make_a_new_base_and_end_the_changes_that_it_holds(
    bench, monkeypatch
):
    monkeypatch.setattr("scoring.control.desks.list_records.CHANGED_MAX", 5)
    for n in range(14):
        put(bench, f"c{n}")
    bench.desk.take_off(WHO, "stolen", "c0")
    with bench.desk.read(EVE) as work:
        records = {
            each.key: each.value for each in work.outbox.unpublished(count_max=1_000)
        }
    kept = sorted(key for key, value in records.items() if value is not None)
    assert len([key for key in kept if "/change/" in key]) == bench.info().changed
    assert len([key for key in kept if "/chunk/" in key]) == 1
    assert [bench.until("stolen", f"c{n}") for n in range(14)] == [0] + [
        FOREVER_MS
    ] * 13
    assert bench.keeper.current.lists["stolen"].count == 13


def test_a_list_that_is_deleted_is_empty_in_the_data_plane_and_may_begin_anew(bench):
    put(bench, "c1")
    bench.desk.delete(By(FAY, "not used any more"), "stolen")
    assert bench.until("stolen", "c1") == 0
    with pytest.raises(NotFound, match="no list 'stolen'"):
        put(bench, "c2")
    bench.desk.create(WHO, "stolen", kind="plain", field="device")
    put(bench, "c2")
    assert (bench.until("stolen", "c1"), bench.until("stolen", "c2")) == (0, FOREVER_MS)


def test_a_list_that_a_live_policy_names_is_not_deleted(bench):
    bench.desk.create(WHO, "blocked", kind="block", field="card")
    ControlBench(bench.database).released(1)
    with pytest.raises(NotPossible, match="release one without it first"):
        bench.desk.delete(By(FAY, "a try"), "blocked")
    with pytest.raises(Denied):
        bench.desk.delete(By(EVE, "a try"), "stolen")


def test_it_is_not_however_many_drafts_came_after_that_policy(bench):
    bench.desk.create(WHO, "blocked", kind="block", field="card")
    policies = ControlBench(bench.database)
    policies.released(1)
    for n in range(2, 103):
        policies.desk.draft(By(ANN), text(n))
    with pytest.raises(NotPossible, match="release one without it first"):
        bench.desk.delete(By(FAY, "a try"), "blocked")


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
        assert work.lists.staged() == 0


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
        assert work.lists.staged() == 0
    with pytest.raises(NotPossible, match="is reading; only one that is read"):
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


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"name": "Stolen"}, "name: 'Stolen' must be a small letter"),
        ({"kind": "black"}, "kind: no kind 'black'; known: block, allow, plain"),
        ({"field": "amount_minor"}, "field: 'amount_minor': no list can be of it"),
        ({"about": "x" * 501}, "about: at most 500"),
    ],
)
def test_a_list_that_cannot_be_is_refused_with_its_field(bench, wish, told):
    good = {"name": "more", "kind": "plain", "field": "attributes.coupon"}
    with pytest.raises(Exception, match=told):
        bench.desk.create(WHO, **(good | wish))
    bench.desk.create(WHO, **good)


def test_random_work_is_a_dict_in_the_data_plane_at_every_moment(bench, monkeypatch):
    """Puts, take-offs, imports, undos and expiries, through the topic's own records."""
    monkeypatch.setattr("scoring.control.desks.list_records.CHANGED_MAX", 12)
    chance = random.Random(7)
    model: dict[str, int] = {}
    undoable: list[tuple[int, dict[str, int]]] = []
    ends = {"": FOREVER_MS, "2026-03-01T12:00:00Z": NOON_MS}
    for _ in range(60):
        token, expires = f"c{chance.randrange(15)}", chance.choice(list(ends))
        match chance.randrange(4):
            case 0:
                put(bench, token, expires)
                model[token] = ends[expires]
                undoable.clear()
            case 1:
                bench.desk.take_off(WHO, "stolen", token)
                model.pop(token, None)
                undoable.clear()
            case 2:
                rows = {
                    f"c{chance.randrange(15)}": chance.choice(list(ends))
                    for _ in range(6)
                }
                text = "token,expires\n" + "".join(
                    f"{t},{e}\n" for t, e in rows.items()
                )
                replaces = chance.random() < 0.5
                undoable.append((0, dict(model)))
                done = bench.imported(text, replaces=replaces)
                undoable[-1] = (done.number, undoable[-1][1])
                model = ({} if replaces else model) | {
                    t: ends[e] for t, e in rows.items()
                }
            case 3 if undoable:
                number, model = undoable.pop()
                bench.desk.undo(WHO, "stolen", number)
        held = bench.follow().current.lists["stolen"]
        for n in range(15):
            until = held.get(f"c{n}", 0)
            assert until == model.get(f"c{n}", 0)
        assert held.count == bench.info().count == len(model)
