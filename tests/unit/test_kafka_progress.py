from scoring.adapters.kafka_progress import STALL_S, Progress


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
