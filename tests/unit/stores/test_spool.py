"""The spool: what was kept comes back, whatever became of a write or of a file."""

import os
import re
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.errors import BadArtifact
from scoring.stores.spool import FileSpool

LEFT = re.compile(r"live-\d(\.\d+)?\.spool")


def spool_in(directory, worker=0, *, bytes_max=10_000, damaged=lambda: None):
    spool = FileSpool(
        directory,
        f"live-{worker}",
        LEFT,
        bytes_max=bytes_max,
        whole=lambda logged: logged.isalpha(),
        damaged=damaged,
    )
    spool.open()
    return spool


def taken_over(directory, **options):
    """What the next process finds, file by file, and the number of damages."""
    damages = []
    heir = spool_in(directory, 9, damaged=lambda: damages.append(1), **options)
    files = []
    while left := heir.take_over():
        files.append(left)
    heir.clear()
    heir.close()
    return files, len(damages)


@contextmanager
def full_disk(after_bytes=0):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


def test_what_a_process_left_is_taken_over_by_the_next_and_leaves_with_it(tmp_path):
    spool = spool_in(tmp_path)
    assert spool.append(b"first")
    assert spool.append(b"second")
    spool.close()
    assert taken_over(tmp_path) == ([[b"first", b"second"]], 0)
    assert list(tmp_path.iterdir()) == []


def test_it_is_bounded(tmp_path):
    spool = spool_in(tmp_path, bytes_max=40)
    assert [spool.append(b"first"), spool.append(b"second"), spool.append(b"more")] == [
        *(True, True, False)
    ]


def test_nobody_takes_over_from_a_process_that_lives(tmp_path):
    living = spool_in(tmp_path)
    living.append(b"mine")
    assert taken_over(tmp_path) == ([], 0)
    living.close()
    assert taken_over(tmp_path) == ([[b"mine"]], 0)


def test_of_a_process_that_is_killed_everything_is_taken_over(tmp_path):
    script = (
        "import os, re, sys; from pathlib import Path\n"
        "from scoring.stores.spool import FileSpool\n"
        "spool = FileSpool(Path(sys.argv[1]), 'live-3', re.compile('x'), 999,\n"
        "                  str.isalpha, print)\n"
        "spool.open(); spool.append(b'kept'); os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert taken_over(tmp_path) == ([[b"kept"]], 0)


def test_two_of_one_name_have_a_file_each(tmp_path):
    one, other = spool_in(tmp_path), spool_in(tmp_path)
    one.append(b"one")
    other.append(b"other")
    one.close()
    other.close()
    assert taken_over(tmp_path) == ([[b"one"], [b"other"]], 0)


def test_what_stays_uncleared_is_left_to_the_next_again(tmp_path):
    spool = spool_in(tmp_path)
    spool.append(b"kept")
    spool.close()
    heir = spool_in(tmp_path, 9)
    assert heir.take_over() == [b"kept"]
    heir.close()
    assert taken_over(tmp_path) == ([[b"kept"]], 0)


def test_a_spool_of_a_release_without_checksums_is_read(tmp_path):
    old = tmp_path / "live-0.spool"
    old.write_bytes(pack(">I", 5) + b"first" + pack(">I", 6) + b"second")
    assert taken_over(tmp_path) == ([[b"first", b"second"]], 0)


def test_a_torn_record_is_set_aside_and_swallows_none(tmp_path):
    old = tmp_path / "live-0.spool"
    old.write_bytes(pack(">I", 5) + b"whole" + pack(">I", 99) + b"torn")
    assert taken_over(tmp_path) == ([[b"whole"]], 1)
    assert (tmp_path / "live-0.damaged").read_bytes() == pack(">I", 99) + b"torn"


def test_what_was_set_aside_before_stays_beside_and_is_set_aside_once(tmp_path):
    path = tmp_path / "live-0.spool"
    path.write_bytes(pack(">I", 99) + b"one")
    first = spool_in(tmp_path, 9)
    path.write_bytes(pack(">I", 5) + b"whole" + pack(">I", 99) + b"one")
    assert first.take_over() == [b"whole"]
    first.close()  # nothing was cleared: the next finds it again
    assert taken_over(tmp_path) == ([[b"whole"]], 1)
    path.write_bytes(pack(">I", 98) + b"two")
    assert taken_over(tmp_path) == ([], 1)
    beside = tmp_path / "live-0.damaged"
    assert beside.read_bytes() == pack(">I", 99) + b"one" + pack(">I", 98) + b"two"


RECORDS = st.lists(
    st.integers(1, 40).map(lambda length: (b"abcdefghij" * 4)[:length]),
    min_size=1,
    max_size=6,
)


@given(records=RECORDS, data=st.data())
def test_a_byte_that_rots_costs_the_record_it_is_in_and_no_other(
    tmp_path_factory, records, data
):
    directory = tmp_path_factory.mktemp("spool")
    spool = spool_in(directory)
    ends = []
    for record in records:
        assert spool.append(record)
        ends.append(Path(directory, "live-0.0.spool").stat().st_size)
    spool.close()
    path = directory / "live-0.0.spool"
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    hit = next(i for i, end in enumerate(ends) if at < end)
    rest = records[:hit] + records[hit + 1 :]
    assert taken_over(directory) == ([rest] if rest else [], 1)
    start = ends[hit - 1] if hit else 0
    assert (directory / "live-0.0.damaged").read_bytes() == raw[start : ends[hit]]


@given(records=RECORDS, data=st.data())
def test_wherever_a_file_ends_its_whole_records_come_back(
    tmp_path_factory, records, data
):
    directory = tmp_path_factory.mktemp("spool")
    spool = spool_in(directory)
    ends = [0]
    for record in records:
        spool.append(record)
        ends.append(Path(directory, "live-0.0.spool").stat().st_size)
    spool.close()
    cut = data.draw(st.integers(0, ends[-1]))
    os.truncate(directory / "live-0.0.spool", cut)
    whole = records[: sum(end <= cut for end in ends[1:])]
    files, damages = taken_over(directory)
    assert files == ([whole] if whole else [])
    assert damages == (cut not in ends)


def test_a_file_that_cannot_be_read_is_counted_and_left_as_it_is(tmp_path):
    (tmp_path / "live-0.spool").mkdir()
    spool = spool_in(tmp_path, 1)
    spool.append(b"kept")
    spool.close()
    assert taken_over(tmp_path) == ([[b"kept"]], 1)
    assert (tmp_path / "live-0.spool").is_dir()


def test_a_full_disk_keeps_nothing_and_breaks_nothing(tmp_path):
    spool = spool_in(tmp_path)
    spool.append(b"whole")
    with full_disk(after_bytes=20):
        assert not spool.append(b"toomuchforit")
        assert not spool.append(b"toomuchforit")
    assert spool.append(b"again")
    spool.close()
    assert taken_over(tmp_path) == ([[b"whole", b"again"]], 0)


def test_damage_that_a_full_disk_does_not_take_stays_where_it_is(tmp_path):
    raw = pack(">I", 5) + b"whole" + b"torn"
    (tmp_path / "live-0.spool").write_bytes(raw)
    with full_disk():
        assert taken_over(tmp_path) == ([[b"whole"]], 1)
    assert (tmp_path / "live-0.spool").read_bytes() == raw
    assert taken_over(tmp_path) == ([[b"whole"]], 1)
    assert (tmp_path / "live-0.damaged").read_bytes() == b"torn"


def test_cleared_it_is_empty_and_goes_on(tmp_path):
    spool = spool_in(tmp_path)
    spool.append(b"old")
    spool.clear()
    spool.append(b"new")
    spool.close()
    assert taken_over(tmp_path) == ([[b"new"]], 0)


def test_a_directory_that_cannot_be_is_a_wrong_setting(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadArtifact, match="SCORING_STATE_DIR"):
        spool_in(tmp_path / "file" / "state")
