from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from scoring.doors.stream.stall_detector import HANG_S, STALL_S, Progress
from scoring.telemetry.http_port import LIVENESS_PATH, Liveness, open_metrics_port


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_records_that_wait_without_progress_are_a_stall():
    clock = Clock()
    progress = Progress(monotonic=clock)
    clock.now = STALL_S
    assert not progress.stalled(1)
    clock.now += 1
    assert progress.stalled(1)


def test_a_quiet_topic_is_no_stall_and_neither_is_its_first_record():
    clock = Clock()
    progress = Progress(monotonic=clock)
    clock.now = 10 * STALL_S
    assert not progress.stalled(0)
    clock.now += 1
    assert not progress.stalled(1)


def test_waiting_for_the_store_is_no_stall():
    clock = Clock()
    progress = Progress(monotonic=clock)
    for _ in range(10):
        clock.now += STALL_S - 1
        assert not progress.stalled(1_000)
        progress.forward()


def test_a_supervisor_is_told_of_records_that_stand_still():
    clock = Clock()
    progress = Progress(monotonic=clock)
    for _ in range(6):
        assert progress.fault() == ""
        clock.now += STALL_S / 5
        progress.stalled(7)
    assert progress.fault() == "7 records wait and nothing has moved for 144 s"
    progress.forward()
    assert progress.fault() == ""


def test_a_supervisor_is_told_of_an_event_loop_that_hangs():
    clock = Clock()
    progress = Progress(monotonic=clock)
    progress.stalled(0)
    clock.now += HANG_S + 1
    assert progress.fault() == "the event loop has hung for 31 s"
    progress.stalled(0)
    assert progress.fault() == ""


def answer(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}") as response:
            return response.status, response.read().decode()
    except HTTPError as refused:
        return refused.code, refused.read().decode()


@pytest.fixture
def door():
    return Liveness()


def test_the_metrics_port_says_whether_the_process_goes_forward(door):
    port = open_metrics_port("127.0.0.1", 0, door)
    assert answer(port, LIVENESS_PATH) == (200, "going forward\n")
    door.fault = lambda: "7 records wait"
    assert answer(port, LIVENESS_PATH) == (503, "7 records wait\n")
    status, metrics = answer(port, "/metrics")
    assert status == 200
    assert "fraud_stream_lag_records" in metrics
