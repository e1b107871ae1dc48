"""A keeper takes what is whole, in order, and goes on with the last good of it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from list_parts import base_records, change_record

from scoring.core.release.keys import ControlKey
from scoring.core.release.list_release import FOREVER_MS, REMOVED_MS
from scoring.errors import CorruptState
from scoring.lists.files import ListFiles
from scoring.lists.keeper import ListKeeper


def keeper_of(directory, told=None):
    keeper = ListKeeper(ListFiles(directory), (told if told is not None else []).append)
    keeper.open()
    return keeper


def on(keeper, name, token):
    return keeper.current.lists[name].get(token, 0)


@pytest.fixture
def keeper(tmp_path):
    return keeper_of(tmp_path)


def test_a_base_and_its_changes_are_asked_as_one_list(keeper):
    keeper.take(base_records("stolen", 3, {"a": 100, "b": FOREVER_MS, "c": 5}))
    keeper.take([change_record("stolen", 4, {"a": REMOVED_MS, "d": 7})])
    assert [on(keeper, "stolen", t) for t in "abcde"] == [0, FOREVER_MS, 5, 7, 0]
    assert keeper.current.revision == 4
    assert keeper.current.lists["stolen"].count == 3


def test_a_payment_without_the_field_is_on_no_list(keeper):
    keeper.take([change_record("stolen", 1, {"a": 7})])
    assert on(keeper, "stolen", "") == 0


def test_a_change_that_comes_again_or_late_changes_nothing(keeper):
    first = change_record("stolen", 1, {"a": 7})
    keeper.take([first, change_record("stolen", 2, {"a": REMOVED_MS})])
    keeper.take([first])
    assert on(keeper, "stolen", "a") == 0
    assert keeper.current.revision == 2


def test_a_new_base_keeps_the_changes_that_came_after_it(keeper):
    keeper.take([change_record("stolen", n, {f"t{n}": n}) for n in (1, 2, 3)])
    keeper.take(base_records("stolen", 2, {"t1": 1, "t2": 2}))
    assert [on(keeper, "stolen", f"t{n}") for n in (1, 2, 3)] == [1, 2, 3]
    assert keeper.current.lists["stolen"].count == 3
    assert keeper.current.revision == 3


def test_a_list_stays_as_it_was_until_the_last_chunk_of_its_base_has_come(tmp_path):
    told = []
    keeper = keeper_of(tmp_path, told)
    keeper.take([change_record("stolen", 1, {"a": 7})])
    *chunks, manifest = base_records("stolen", 5, dict.fromkeys("bcdefgh", 9))
    keeper.take([*chunks[1:], manifest])
    assert on(keeper, "stolen", "a") == 7
    assert keeper.waiting == ("stolen",)
    (why,) = told
    assert why.startswith("list stolen stays as it is: ")
    assert why.endswith("revision 5: 1 of 3 chunks have not come")
    keeper.take(chunks[:1])
    assert (on(keeper, "stolen", "a"), on(keeper, "stolen", "b")) == (0, 9)
    assert keeper.waiting == ()


BASE, CHANGE = ControlKey(list="stolen"), ControlKey(list="stolen", change=2)
ENTRY = '{{"list":"stolen","revision":2,"entries":[{}]}}'


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (BASE, "{"),
        (BASE, "[]"),
        (BASE, '{"list":"stolen","revision":2,"base":[]}'),
        (BASE, '{"list":"stolen","revision":true,"base":[],"count":0}'),
        (BASE, '{"list":"stolen","revision":2,"base":["../x"],"count":1}'),
        (BASE, '{"list":"stolen","revision":2,"base":["x"],"count":1,"later":1}'),
        (CHANGE, '{"list":"stolen","revision":2}'),
        (CHANGE, ENTRY.format('{"hash":"FF","until_ms":1}')),
        (CHANGE, ENTRY.format('{"hash":"00000000000000ff","until_ms":-1}')),
        (CHANGE, ENTRY.format('{"hash":"00000000000000ff","until_ms":9e20}')),
        (CHANGE, ENTRY.format('{"hash":"00000000000000ff","until_ms":9999999999999}')),
    ],
)
def test_a_record_of_another_shape_is_told_and_changes_nothing(tmp_path, key, text):
    told = []
    keeper = keeper_of(tmp_path, told)
    keeper.take([change_record("stolen", 1, {"a": 7})])
    before = keeper.current
    keeper.take([(key, text.encode())])
    assert keeper.current == before
    assert len(told) == 1
    assert told[0].startswith("list stolen stays as it is: ")


def test_a_restart_goes_on_with_what_was_saved(tmp_path):
    keeper = keeper_of(tmp_path)
    keeper.take(base_records("stolen", 3, {"a": 100}))
    keeper.take([change_record("stolen", 4, {"b": 7})])
    keeper.take([change_record("trusted", 5, {"x": 8})])
    keeper.save()
    assert keeper_of(tmp_path).current.revision == 5
    again = keeper_of(tmp_path)
    assert [on(again, "stolen", t) for t in "ab"] == [100, 7]
    assert on(again, "trusted", "x") == 8
    # The topic is read from its beginning again: nothing goes back meanwhile.
    again.take(base_records("stolen", 3, {"a": 100}))
    assert [on(again, "stolen", t) for t in "ab"] == [100, 7]
    assert list((tmp_path / "chunks").iterdir()) == []


def test_a_damaged_base_leaves_the_one_before_it_and_says_so(tmp_path):
    keeper = keeper_of(tmp_path)
    keeper.take(base_records("stolen", 1, {"a": 7}))
    keeper.save()
    first = set(tmp_path.glob("*.base"))
    keeper.take(base_records("stolen", 2, {"b": 7}))
    keeper.save()
    (newest,) = set(tmp_path.glob("*.base")) - first
    newest.write_bytes(newest.read_bytes()[:-1])
    told = []
    again = keeper_of(tmp_path, told)
    assert [on(again, "stolen", t) for t in "ab"] == [7, 0]
    assert told[0].startswith("list stolen is as of revision 1: ")
    # As the topic comes again, the damaged file is built anew.
    again.take(base_records("stolen", 2, {"b": 7}))
    assert [on(again, "stolen", t) for t in "ab"] == [0, 7]


@pytest.mark.parametrize("cut", [0, 10, 70, -1])
def test_a_damaged_state_is_told_and_keeps_nobody_from_starting(tmp_path, cut):
    keeper = keeper_of(tmp_path)
    keeper.take(base_records("stolen", 1, {"a": 7}))
    keeper.save()
    path = tmp_path / "stolen.json"
    path.write_bytes(path.read_bytes()[:cut])
    told = []
    again = keeper_of(tmp_path, told)
    assert again.current.revision == 0
    assert told[0].startswith("list stolen is empty until it comes again: ")


def test_a_slower_process_overwrites_no_newer_state(tmp_path):
    fast, slow = keeper_of(tmp_path), keeper_of(tmp_path)
    first = change_record("stolen", 1, {"a": 7})
    fast.take([first, change_record("stolen", 2, {"b": 8})])
    fast.save()
    slow.take([first])
    slow.save()
    assert keeper_of(tmp_path).current.revision == 2


def test_processes_share_one_base_and_the_old_ones_go(tmp_path):
    one, two = keeper_of(tmp_path), keeper_of(tmp_path)
    for revision in range(1, 6):
        records = base_records("stolen", revision, {f"t{revision}": 7})
        for keeper in (one, two):
            keeper.take(records)
            keeper.save()
    assert on(one, "stolen", "t5") == on(two, "stolen", "t5") == 7
    assert len(list(tmp_path.glob("*.base"))) == 2  # and the one before
    assert list((tmp_path / "chunks").iterdir()) == []


def test_a_base_without_entries_empties_its_list(keeper):
    keeper.take(base_records("stolen", 1, {"a": 7}))
    keeper.take(base_records("stolen", 2, {}))
    assert on(keeper, "stolen", "a") == 0
    assert keeper.current.lists["stolen"].count == 0


TOKENS = st.sampled_from([f"token-{n}" for n in range(12)])
ENDS = st.integers(1, 9) | st.just(FOREVER_MS)


class AgainstADict(RuleBasedStateMachine):
    """Bases, changes, restarts and another process, against plain dicts."""

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.keeper = keeper_of(self.path)
        self.other = keeper_of(self.path)
        self.model = {"stolen": {}, "trusted": {}}
        self.revision = 0
        self.log = []

    def send(self, records):
        self.log += records
        self.keeper.take(records)

    @rule(name=st.sampled_from(["stolen", "trusted"]), token=TOKENS, end=ENDS)
    def add(self, name, token, end):
        self.revision += 1
        self.model[name][token] = end
        self.send([change_record(name, self.revision, {token: end})])

    @rule(name=st.sampled_from(["stolen", "trusted"]), token=TOKENS)
    def remove(self, name, token):
        self.revision += 1
        self.model[name].pop(token, None)
        self.send([change_record(name, self.revision, {token: REMOVED_MS})])

    @rule(
        name=st.sampled_from(["stolen", "trusted"]),
        entries=st.dictionaries(TOKENS, ENDS),
    )
    def replace(self, name, entries):
        self.revision += 1
        self.model[name] = dict(entries)
        self.send(base_records(name, self.revision, entries))

    @precondition(lambda self: self.revision)
    @rule(name=st.sampled_from(["stolen", "trusted"]))
    def compact(self, name):
        """A base that holds what there is already: nothing changes."""
        self.send(base_records(name, self.revision, self.model[name]))

    @rule()
    def restart(self):
        self.keeper.save()
        self.keeper = keeper_of(self.path)

    @rule()
    def crash(self):
        """What was not saved comes again from the topic's beginning."""
        self.keeper = keeper_of(self.path)
        self.keeper.take(self.log)

    @rule()
    def other_catches_up(self):
        self.other.take(self.log)
        self.other.save()
        self.same(self.other)

    def same(self, keeper):
        for name, entries in self.model.items():
            held = keeper.current.lists.get(name)
            for n in range(12):
                token = f"token-{n}"
                assert (held.get(token, 0) if held else 0) == entries.get(token, 0)
            if held:
                assert held.count == len(entries)

    @invariant()
    def lists_are_the_model(self):
        self.same(self.keeper)

    def teardown(self):
        self.folder.cleanup()


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None
)


DAMAGED = (ControlKey(list="stolen", change=2), CorruptState("is not what it says"))


def test_a_list_that_lacks_a_change_is_at_fault_until_a_base_holds_it(keeper):
    keeper.take([change_record("stolen", 1, {"a": 7})])
    keeper.take([DAMAGED])
    keeper.take([change_record("stolen", 3, {"b": 7})])
    keeper.take([change_record("other", 4, {"b": 7})])
    assert keeper.fault == "list stolen stays as it is: is not what it says"
    keeper.take(base_records("stolen", 5, {"a": 7, "b": 7, "c": 7}))
    assert keeper.fault == ""


def test_a_base_makes_nothing_whole_that_was_damaged_after_it(keeper):
    late = (ControlKey(list="stolen", change=9), b"{")
    keeper.take([*base_records("stolen", 5, {"a": 7}), late])
    assert keeper.fault
    keeper.take([late, *base_records("stolen", 9, {"a": 7, "b": 7})])
    assert keeper.fault == ""


def test_whoever_reads_again_what_its_base_holds_lacks_nothing(tmp_path):
    records = [*base_records("stolen", 5, {"a": 7})]
    keeper = keeper_of(tmp_path)
    keeper.take([DAMAGED, *records])
    keeper.save()
    again = keeper_of(tmp_path)
    again.take([DAMAGED])
    assert again.fault == ""
    again.take([(BASE, b"{"), *records])
    assert again.fault == ""
