"""The supervisor of workers: what one does is not hidden by what another does."""

import gc
import subprocess
import sys

from scoring.wiring.process_supervisor import Workers, frozen

READY = "ready"
# Worker 0 fails at its start; worker 1 is ready, and will not be told to stop.
UNEQUAL = """
import signal, sys, time
if sys.argv[1] == "0":
    sys.exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(60)
"""
# Both are ready and stop when told; worker 0 says that something went wrong.
ONE_FAILED = """
import os, signal, sys, time
end = lambda *_: os._exit(5 if sys.argv[1] == "0" else 0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
if sys.argv[1] == "1":
    time.sleep(1)
    os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""


def workers(script, *, drain_s):
    command = (sys.executable, "-c", script)
    return Workers(command, count=2, drain_s=drain_s, ready_line=READY)


async def test_a_worker_that_cannot_start_ends_all_even_one_that_does_not_listen():
    assert await workers(UNEQUAL, drain_s=0.5).run() == 3


# Worker 1 has not yet come to listen when all are told.
STARTING = """
import os, signal, sys, time
if sys.argv[1] == "0":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print("ready", flush=True)
    time.sleep(1)
    os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""


async def test_a_worker_that_is_told_while_it_starts_has_not_failed():
    assert await workers(STARTING, drain_s=30).run() == 0


async def test_a_failure_is_told_though_another_ended_well():
    assert await workers(ONE_FAILED, drain_s=30).run() == 5


def test_what_is_loaded_is_kept_from_the_collector_for_the_block_alone():
    with frozen():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


def test_a_process_that_kept_duckdb_from_the_collector_ends_without_a_word():
    script = """if True:
        import duckdb
        from scoring.wiring.process_supervisor import frozen
        with frozen():
            duckdb.connect().execute("select 1").fetchone()
    """
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout + ended.stderr == ""
