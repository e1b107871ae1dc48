"""What of an import takes long: done beside the requests, which ask how far it is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from scoring.control.api.problems import problem_of
from scoring.control.domain.list_imports import ListImport
from scoring.errors import NotPossible

_AT_ONCE = 2  # the database takes one writer at a time
_WAITING_MAX = 8  # each holds its file in memory
_KEPT_MAX = 100  # of those that ended: what they were refused for
# It tells its steps.
Work = Callable[[Callable[[int], None]], ListImport]


@dataclass(slots=True)
class ImportJob:
    """Work on one import; `steps` of `steps_total` are done."""

    steps_total: int
    steps: int = 0
    future: Future[ListImport] = field(default_factory=Future)

    def tell(self, steps: int) -> None:
        """Note how far it is."""
        self.steps = steps

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.future.done()

    @property
    def progress(self) -> float | None:
        """The part that is done, 0 to 1; None where nobody can say."""
        if not self.steps_total or not self.running:
            return None
        return min(self.steps / self.steps_total, 1.0)

    @property
    def problems(self) -> list[str]:
        """Why it failed, line by line."""
        error = None if self.running else self.future.exception()
        if not isinstance(error, Exception):
            return []
        faults = problem_of(error).faults
        return [": ".join(filter(None, (f.field, f.detail))) for f in faults]


@dataclass(slots=True)
class ImportJobs:
    """The jobs of this process by the number of their import; threads share it."""

    failed: int = 0  # since the start
    _jobs: dict[int, ImportJob] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_AT_ONCE, "imports")
    )

    def done(
        self,
        number: int,
        work: Work,
        *,
        wait_s: float,
        steps: int = 0,
    ) -> ListImport | None:
        """Begin some work, and what came of it; None where it takes longer than that.

        Where work on this import runs already it is joined: its state, which whoever
        asks has looked at, lets one thing be done at a time. Raises what the work
        raises within that time, and `NotPossible` where too much waits already.
        """
        with self._lock:
            job = self._jobs.get(number)
            if job is None or not job.running:
                self._make_room()
                job = ImportJob(steps)
                job.future = self._threads.submit(self._done, work, job.tell)
                self._jobs[number] = job
        try:
            return job.future.result(wait_s)
        except TimeoutError:
            if job.running:
                return None
            raise

    def of(self, number: int) -> ImportJob | None:
        """The newest work on an import in this process; None where there was none."""
        return self._jobs.get(number)

    @property
    def running(self) -> int:
        """How many run or wait."""
        with self._lock:
            return sum(job.running for job in self._jobs.values())

    def _done(self, work: Work, tell: Callable[[int], None]) -> ListImport:
        try:
            return work(tell)
        except BaseException:
            self.failed += 1
            raise

    def _make_room(self) -> None:
        waiting = sum(job.running for job in self._jobs.values())
        if waiting >= _WAITING_MAX:
            raise NotPossible(
                f"{waiting} imports are being read or applied; try again in a minute"
            )
        ended = [number for number, job in self._jobs.items() if not job.running]
        for number in ended[: max(len(self._jobs) - _KEPT_MAX, 0)]:
            del self._jobs[number]
