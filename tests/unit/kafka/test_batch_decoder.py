"""Batches are read as they are: private names of aiokafka, and what replaces them."""

import inspect
import struct
import subprocess
import sys
import tracemalloc

import aiokafka
import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from kafka_batches import CODECS, GZIP, LZ4, NONE, SNAPPY, ZSTD, Raw, batch

from scoring.kafka import batch_decoder
from scoring.kafka.batch_decoder import (
    POLL_BYTES_MAX,
    BoundedRecords,
    BoundedResult,
    Renamed,
    Unread,
    records_of,
)
from scoring.kafka.decompression import INFLATED_BYTES_MAX

PAYMENTS = [
    Raw(b"v%d" % n * 20, b"k", ((b"a", b"1"), (b"null", None)), 1_000 + n)
    for n in range(50)
]
ODD = Raw(b"odd", None, ((b"\xff\xfe", b"x"), ("ä".encode(), b"")), 7)


def read(*batches: bytes):
    records = BoundedRecords(b"".join(batches))
    found = []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        found += list(one)
    return found


def said(records):
    return [
        (r.offset, r.timestamp, r.timestamp_type, r.key, r.value, tuple(r.headers))
        for r in records
    ]


def test_the_version_is_the_one_that_was_read():
    assert aiokafka.__version__ == "0.14.0"


def test_the_library_still_reads_by_the_names_that_are_replaced():
    batch_decoder.install()
    assert fetcher.MemoryRecords is BoundedRecords
    assert fetcher.FetchResult is BoundedResult
    source = inspect.getsource(fetcher.Fetcher)
    assert "MemoryRecords(part_data[-1])" in source
    assert "FetchResult(" in source
    assert ".getall(max_records)" in source
    result = inspect.getsource(BoundedResult.__mro__[1])
    for name in ("_update_position", "_partition_records", "check_assignment"):
        assert name in result
    assert list(inspect.signature(BoundedResult.getall).parameters) == [
        "self",
        "max_records",
    ]


@pytest.mark.parametrize("framed", [True, False])
@pytest.mark.parametrize("codec", CODECS)
def test_what_aiokafka_reads_is_read_alike(codec, framed):
    raw = batch(PAYMENTS, codec, base=77, framed=framed)
    own = MemoryRecords(raw).next_batch()
    assert said(read(raw)) == said(own)
    assert said(records_of(batch(PAYMENTS, base=77))) == said(read(raw))


@pytest.mark.parametrize("codec", CODECS)
def test_a_name_that_is_no_utf_8_costs_no_record(codec):
    found = read(batch([*PAYMENTS, ODD, *PAYMENTS], codec))
    assert len(found) == 101
    assert [r.offset for r in found] == list(range(101))
    assert found[50].headers == (("\\xff\\xfe", b"x"), ("ä", b""))
    assert isinstance(found[50].headers[0][0], Renamed)
    assert not isinstance(found[50].headers[1][0], Renamed)


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_a_large_batch_of_many_records_is_read_whole(codec):
    many = [Raw(b"%d" % n + b"x" * 1_000) for n in range(20_000)]
    assert [r.value for r in read(batch(many, codec))] == [one.value for one in many]


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD])
def test_what_inflates_without_end_is_one_record_that_says_so(codec):
    bomb = batch([Raw(bytes(400_000_000)), *PAYMENTS], codec, base=5)
    after = batch(PAYMENTS, base=56)
    tracemalloc.start()
    [unread, *rest] = read(bomb, after)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(unread.value, Unread)
    assert "offsets 5 to 55 not read" in unread.value.why
    assert (unread.offset, unread.key, unread.headers) == (5, None, ())
    assert len(rest) == len(PAYMENTS)
    assert peak < 3 * INFLATED_BYTES_MAX


def test_a_damaged_batch_says_so_behind_what_could_be_read():
    for codec in (GZIP, SNAPPY, LZ4, ZSTD):
        raw = bytearray(batch(PAYMENTS, codec))
        raw[70:80] = bytes(10)
        found = list(BoundedRecords(bytes(raw)).next_batch())
        assert isinstance(found[-1].value, Unread)
    raw = batch(PAYMENTS[:3])
    short = raw[:8] + struct.pack(">i", len(raw) - 12 - 5) + raw[12:-5]
    *good, unread = list(BoundedRecords(short).next_batch())
    assert len(good) == 2
    assert "offset 2 not read" in unread.value.why


def test_a_batch_that_the_broker_cut_off_waits_for_the_next_fetch():
    whole = batch(PAYMENTS)
    assert len(read(whole, whole[:-1])) == len(PAYMENTS)
    assert BoundedRecords(whole[:-1]).size_in_bytes() > 0
    assert not BoundedRecords(whole[:5]).has_next()


class Position:
    """A partition's place in an assignment."""

    active = True
    paused = False

    def __init__(self):
        self.position = 0

    def state_value(self, _):
        return self

    def consumed_to(self, offset):
        self.position = offset


@pytest.mark.parametrize("codec", [NONE, ZSTD])
def test_a_poll_takes_few_large_records_and_as_many_small_ones_as_it_may(codec):
    large = [Raw(b"x" * 1_000_000) for _ in range(20)]
    small = [Raw(b"x") for _ in range(20)]
    for records, expected in ((large, POLL_BYTES_MAX // 1_000_000 + 1), (small, 15)):
        fetched = fetcher.PartitionRecords(
            aiokafka.TopicPartition("t", 0),
            BoundedRecords(batch(records, codec)),
            [],
            0,
            None,
            None,
            check_crcs=True,
            isolation_level=fetcher.READ_COMMITTED,
        )
        result = BoundedResult(
            aiokafka.TopicPartition("t", 0),
            assignment=Position(),
            partition_records=fetched,
            backoff=0,
        )
        taken = []
        while result.has_more():
            taken.append(len(result.getall(15)))
        assert taken[0] == expected
        assert sum(taken) == 20


@pytest.mark.parametrize(
    "reads",
    [
        "scoring.doors.stream.worker",
        "scoring.kafka.reader",
        "scoring.doors.stream.shadow",
        "scoring.kafka.tail",
    ],
)
def test_whoever_reads_records_reads_them_by_the_replaced_names(reads):
    script = f"""if True:
        import {reads}
        from aiokafka.consumer import fetcher
        print(fetcher.MemoryRecords.__name__, fetcher.FetchResult.__name__)
    """
    seen = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert seen.stdout.split() == ["BoundedRecords", "BoundedResult"]
