"""The lists of a replay in its state directory: written once, read whole or refused."""

import pytest

from scoring.core.policy.dated_lists import DatedList, DatedLists
from scoring.core.release.list_release import FOREVER_MS, token_hash
from scoring.errors import BadArtifact
from scoring.lists.dated_file import dated_lists_in, keep_dated_lists


def test_lists_are_read_back_as_they_were_written(tmp_path):
    rows = [(token_hash(f"c{i}"), i, FOREVER_MS - i) for i in range(99)]
    lists = {"stolen": DatedList.of(rows), "revision": DatedList.of([])}
    keep_dated_lists(DatedLists(12, lists), tmp_path)
    found = dated_lists_in(tmp_path)
    assert (found.revision, set(found.lists)) == (12, set(lists))
    asked = [f"c{i}" for i in range(120)]
    for at in (0, 50, 98):
        for name, held in lists.items():
            expected = [held.as_of(at).get(token, 0) for token in asked]
            mapped = found.lists[name].as_of(at)
            assert [mapped.get(token, 0) for token in asked] == expected


def test_a_directory_without_them_has_none(tmp_path):
    assert dated_lists_in(tmp_path) is None


def test_a_damaged_file_is_refused_and_never_an_empty_list(tmp_path):
    keep_dated_lists(DatedLists(1, {"stolen": DatedList.of([])}), tmp_path)
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadArtifact, match="damaged"):
        dated_lists_in(tmp_path)
