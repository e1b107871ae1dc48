"""The copy that runs backtests: one at a time, in processes that end with it."""

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager, suppress

import pytest
from control_parts import EVE, FAY, TEXTS, ControlBench, backtest, text

from scoring.control.backtest_runner import BacktestRunner
from scoring.control.database.database import Database
from scoring.control.database.relaying import LeaseTable
from scoring.control.desks.backtest_desk import BacktestDesk, BacktestWish
from scoring.control.domain.backtest_jobs import JobState
from scoring.control.domain.people import By
from scoring.control.lease import Lease
from scoring.core.release.policy_release import PolicyText
from scoring.errors import DatabaseUnavailable

DONE = {name: getattr(backtest("a" * 16, "b" * 16), name)
        for name in ("version", "against", "accepted_count", "declined_count",
                     "accepted_amount_minor", "declined_amount_minor")}  # fmt: skip
TOLD = json.dumps({"backtest": DONE | {"number": 0, "by": "", "at_ms": 0}})
PROGRESS = 'print(\'{"stage": "judging", "done": 0.5}\', flush=True)'
FOR_EVER = f"import time\n{PROGRESS}\ntime.sleep(600)"


class Frozen:
    """The lease of a copy that no longer renews it."""

    holder = "copy 1"

    def hold(self):
        return False

    def let_go(self):
        pass


class Judges:
    """Starts processes that run this code in place of a judge, and remembers them."""

    def __init__(self, code):
        self.code, self.processes = code, []

    async def __call__(self, _number):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", self.code),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def run_on(self):
        return [p for p in self.processes if p.returncode is None and _lives(p.pid)]


def _lives(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.fixture
def desk(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'control.db'}").migrated()
    bench = ControlBench(database)
    settled = PolicyText("", text(600), None)
    yield BacktestDesk(
        database, TEXTS, bench.clock, settled=lambda: settled, archived=True
    )
    database.close()


def runner(desk, judges, holder="copy 1", ttl_s=5.0):
    rows = LeaseTable(desk._database, "backtests", lambda: 0)
    lease = Lease(rows, holder, time.monotonic, ttl_s)
    return BacktestRunner(desk, lease, judges, look_s=0.02)


@asynccontextmanager
async def running(*runners):
    tasks = [asyncio.create_task(each.run()) for each in runners]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def asked(desk, n=1):
    return desk.ask(By(FAY), BacktestWish(text=text(n))).number


def job(desk, number):
    return desk.told(EVE, number).job


async def until(holds, within_s=20.0):
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.01)


async def test_what_a_process_tells_last_is_kept_and_the_next_one_runs(desk):
    judges = Judges(f"{PROGRESS}\nprint('noise')\nprint({TOLD!r})")
    numbers = [asked(desk, n) for n in (1, 2)]
    async with running(runner(desk, judges)):
        await until(lambda: job(desk, numbers[1]).state is JobState.DONE)
    assert job(desk, numbers[0]).state is JobState.DONE
    assert desk.told(EVE, numbers[0]).figures.accepted_count == 100_000
    assert len(judges.processes) == 2


async def test_a_refusal_is_why_it_failed(desk):
    judges = Judges("""print('{"refused": "no decisions are archived"}')""")
    number = asked(desk)
    async with running(runner(desk, judges)):
        await until(lambda: job(desk, number).state is JobState.FAILED)
    assert job(desk, number).failed == "no decisions are archived"


@pytest.mark.parametrize("code", ["import os; os.kill(os.getpid(), 9)", "1 / 0", ""])
async def test_a_process_that_dies_leaves_it_interrupted(desk, code):
    number = asked(desk)
    async with running(runner(desk, Judges(code))):
        await until(lambda: job(desk, number).state is JobState.FAILED)
    assert job(desk, number).failed.startswith("interrupted: the process that ran it")


async def test_a_cancelled_one_ends_its_process(desk):
    judges = Judges(FOR_EVER)
    number = asked(desk)
    async with running(runner(desk, judges)):
        await until(lambda: job(desk, number).done == 0.5)
        desk.cancel(By(FAY), number)
        await until(lambda: not judges.run_on())
    assert job(desk, number).state is JobState.CANCELLED


async def test_a_copy_that_ends_takes_its_process_with_it_and_says_so(desk):
    judges = Judges(FOR_EVER)
    number = asked(desk)
    async with running(runner(desk, judges)):
        await until(lambda: job(desk, number).done == 0.5)
    assert not judges.run_on()
    assert job(desk, number).failed.startswith("interrupted:")


async def test_a_second_copy_runs_nothing_while_the_first_has_the_lease(desk):
    first, second = Judges(FOR_EVER), Judges(FOR_EVER)
    number = asked(desk)
    one, two = runner(desk, first), runner(desk, second, "copy 2")
    async with running(one):
        await until(lambda: job(desk, number).state is JobState.RUNNING)
        async with running(two):
            asked(desk, 2)
            await asyncio.sleep(0.5)
            assert len(first.processes) == 1
            assert not second.processes
            assert job(desk, number).holder == "copy 1"


async def test_a_report_that_is_too_long_fails_with_its_reason(desk):
    judges = Judges("import time\nprint('x' * 200_000, flush=True)\ntime.sleep(600)")
    number = asked(desk)
    async with running(runner(desk, judges)):
        await until(lambda: job(desk, number).state is JobState.FAILED)
        assert not judges.run_on()
    assert "longer than 32 MiB" in job(desk, number).failed


async def test_a_process_that_told_everything_and_does_not_end_is_ended(desk):
    code = f"import os, time\nprint({TOLD!r}, flush=True)\nos.close(1)\ntime.sleep(600)"
    judges = Judges(code)
    number = asked(desk)
    one = runner(desk, judges)
    one.end_s = 0.2
    async with running(one):
        await until(lambda: job(desk, number).state is JobState.DONE)
        assert not judges.run_on()


async def test_a_writer_that_takes_longer_than_the_lease_interrupts_nothing(desk):
    judges = Judges(f"import sys\n{PROGRESS}\nsys.stdin.readline()\nprint({TOLD!r})")
    number = asked(desk)
    async with running(runner(desk, judges, ttl_s=0.3)):
        await until(lambda: job(desk, number).done == 0.5)
        with desk._database.writing():
            await asyncio.sleep(0.6)
        await asyncio.sleep(0.1)
        assert job(desk, number).state is JobState.RUNNING
        judges.processes[0].stdin.write(b"\n")
        await until(lambda: job(desk, number).state is JobState.DONE)


async def test_an_outage_of_the_database_ends_no_backtest_and_loses_none(
    desk, monkeypatch
):
    judges = Judges(f"import sys\n{PROGRESS}\nsys.stdin.readline()\nprint({TOLD!r})")
    number = asked(desk)
    down, refused = False, 0
    begun = Database._begun

    def answered(database, **options):
        nonlocal refused
        if down:
            refused += 1
            raise DatabaseUnavailable("the database does not answer")
        return begun(database, **options)

    monkeypatch.setattr(Database, "_begun", answered)
    async with running(runner(desk, judges, ttl_s=0.3)):
        await until(lambda: job(desk, number).done == 0.5)
        down = True
        await until(lambda: refused > 5)
        assert judges.run_on()
        judges.processes[0].stdin.write(b"\n")
        await until(lambda: not judges.run_on())
        tried = refused
        await until(lambda: refused > tried + 2)
        down = False
        await until(lambda: job(desk, number).state is JobState.DONE)
    assert len(judges.processes) == 1
    assert desk.told(EVE, number).figures.accepted_count == 100_000


async def test_a_copy_that_ends_during_an_outage_ends(desk, monkeypatch):
    judges = Judges(FOR_EVER)
    number = asked(desk)
    one = runner(desk, judges)
    async with running(one) as tasks:
        await until(lambda: job(desk, number).done == 0.5)

        def unanswered(*_, **__):
            raise DatabaseUnavailable("the database does not answer")

        monkeypatch.setattr(Database, "_begun", unanswered)
        tasks[0].cancel()
        await asyncio.wait(tasks, timeout=10)
        assert tasks[0].cancelled()
    assert not judges.run_on()


async def test_a_copy_that_lost_the_lease_ends_its_process_and_keeps_nothing(desk):
    first, second = Judges(FOR_EVER), Judges(f"print({TOLD!r})")
    number = asked(desk)
    one = runner(desk, first, ttl_s=0.3)
    async with running(one):
        await until(lambda: job(desk, number).done == 0.5)
        # Its renewals do not reach the table any more, as of a copy that was frozen.
        one.lease = Frozen()
        async with running(runner(desk, second, "copy 2", ttl_s=0.3)):
            await until(lambda: job(desk, number).state is JobState.FAILED)
            await until(lambda: not first.run_on())
            later = asked(desk, 2)
            await until(lambda: job(desk, later).state is JobState.DONE)
    assert job(desk, number).failed.startswith("interrupted:")
    assert desk.told(EVE, number).figures is None
