"""A base is whole or refused, and finds exactly what it holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.release.list_release import FOREVER_MS
from scoring.errors import BadArtifact
from scoring.lists.base import ROW, open_base, write_base

HASHES = st.sets(st.integers(0, 2**64 - 1), max_size=200)
CLOSE = st.sets(st.integers(0, 50), max_size=40)  # all at one place of the index


def raw_of(entries):
    return np.array(sorted(entries.items()), ROW).tobytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stolen.base"


@settings(max_examples=30)
@given(hashes=HASHES | CLOSE, others=HASHES)
def test_a_base_finds_every_hash_that_it_holds_and_no_other(
    tmp_path_factory, hashes, others
):
    path = tmp_path_factory.mktemp("base") / "stolen.base"
    entries = {hashed: i % 7 + 1 for i, hashed in enumerate(hashes)}
    raw = raw_of(entries)
    parts = [raw[i : i + 160] for i in range(0, len(raw), 160)]
    write_base(path, len(entries), parts)
    base = open_base(path)
    assert base.count == len(entries)
    for hashed in hashes | others | {0, 2**64 - 1}:
        assert base.find(hashed) == entries.get(hashed)


@pytest.mark.parametrize(
    ("count", "parts", "told"),
    [
        (2, [raw_of({1: 1})], "hold 1 rows, not 2"),
        (1, [raw_of({1: 1, 2: 1})], "too many rows"),
        (2, [raw_of({2: 1}), raw_of({1: 1})], "do not rise"),
        (2, [raw_of({2: 1}), raw_of({2: 1})], "do not rise"),
        (1, [raw_of({1: 1})[:-1]], "ends within a row"),
        (10**9, [], "is not up to"),
    ],
)
def test_rows_that_are_no_list_leave_no_file(path, count, parts, told):
    with pytest.raises(BadArtifact, match=told):
        write_base(path, count, parts)
    assert list(path.parent.iterdir()) == []


def test_a_file_is_refused_wherever_one_byte_of_it_is_wrong(path):
    write_base(path, 3, [raw_of({5: 1, 2**63: FOREVER_MS, 2**64 - 1: 7})])
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(BadArtifact, match=r"stolen\.base"):
            open_base(path)


def test_a_file_is_refused_wherever_it_is_cut_off(path):
    write_base(path, 1, [raw_of({5: 1})])
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(BadArtifact, match=r"cut off|cannot be read"):
            open_base(path)


def test_a_base_that_is_mapped_outlives_its_file(path):
    write_base(path, 1, [raw_of({5: 9})])
    base = open_base(path)
    path.unlink()
    assert base.find(5) == 9
