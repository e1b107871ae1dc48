"""The spool: what was kept comes back, whatever became of a write."""

import resource
import signal

import pytest

from scoring.adapters.spool import FileSpool


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool" / "worker-0"


def test_what_was_kept_comes_back_and_is_bounded(path):
    spool = FileSpool(path, bytes_max=20)
    assert [spool.append(b"first"), spool.append(b"second"), spool.append(b"more")] == [
        *(True, True, False)
    ]
    assert FileSpool(path, bytes_max=20).load() == [b"first", b"second"]


def test_a_torn_record_swallows_none_that_comes_after_it(path):
    FileSpool(path, bytes_max=100).append(b"whole")
    with path.open("ab") as file:
        file.write(b"\0\0\0\x09torn")
    spool = FileSpool(path, bytes_max=100)
    assert spool.load() == [b"whole"]
    spool.append(b"later")
    assert FileSpool(path, bytes_max=100).load() == [b"whole", b"later"]


def test_a_full_disk_keeps_nothing_and_breaks_nothing(path):
    spool = FileSpool(path, bytes_max=10_000)
    spool.append(b"whole")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        assert not spool.append(b"too much for it")
        assert not spool.append(b"too much for it")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert spool.append(b"again")
    assert spool.load() == [b"whole", b"again"]


def test_cleared_it_is_empty_and_goes_on(path):
    spool = FileSpool(path, bytes_max=100)
    spool.append(b"old")
    spool.clear()
    spool.append(b"new")
    assert spool.load() == [b"new"]
