"""What people ask of backtests, and what the copy that runs them tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import UnitOfWork, reading, writing
from scoring.control.desks.backtest_figures import keep_figures
from scoring.control.desks.policy_texts import PolicyTexts
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.backtest_jobs import (
    INTERRUPTED,
    BacktestJob,
    BacktestScope,
    JobState,
    JudgedText,
    queued,
)
from scoring.control.domain.gate import Backtest
from scoring.control.domain.people import By, Doing, Person, Right
from scoring.control.domain.policy_life import PolicyVersion
from scoring.control.domain.wordings import checked_why
from scoring.core.release.policy_release import PolicyText
from scoring.errors import InvalidTransaction, NotPossible


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestWish:
    """What somebody wants judged.

    One of: a `policy` (its number), a `text` with its `reasons`, a `rule` to be added
    to the old version, or a `report` on the old version itself. `against` is the old
    version's number; None: in force.
    """

    policy: int | None = None
    text: str = ""
    reasons: str | None = None
    rule: str = ""
    report: bool = False
    against: int | None = None
    scope: BacktestScope = field(default_factory=BacktestScope)


@dataclass(frozen=True, slots=True)
class ToldBacktest:
    """A backtest as it is: a job of ours, figures, or both; `ahead` wait before it."""

    number: int
    job: BacktestJob | None
    figures: Backtest | None
    ahead: int = 0


class BacktestDesk:
    """Every action on backtests: each is one transaction.

    `settled` is the version of the settings, which is in force before the first
    release; `archived` tells whether there is an archive to judge. Blocks on the
    database. Raises `Denied`, `NotFound`, `NotPossible`, `InvalidTransaction`,
    `BadArtifact` for a text, and `DatabaseUnavailable`; then nothing was changed.
    """

    def __init__(
        self,
        database: Database,
        texts: PolicyTexts,
        now_ms: Callable[[], int],
        *,
        settled: Callable[[], PolicyText],
        archived: bool,
    ) -> None:
        self._database = database
        self._texts = texts
        self._now_ms = now_ms
        self._settled = settled
        self._archived = archived

    # People --------------------------------------------------------------------

    def ask(self, by: By, wish: BacktestWish) -> ToldBacktest:
        """Put a backtest in the queue; its texts are taken as they are now."""
        by.person.needs(Right.BACKTEST)
        if not self._archived:
            raise NotPossible(
                "this control plane has no archive to judge; set SCORING_ARCHIVE_DIR "
                "where it runs, or bring figures by `scoring policy backtest "
                "--proposal`"
            )
        wanted = (wish.policy, wish.text, wish.rule, wish.report)
        if sum(map(bool, wanted)) != 1:
            told = "send one of policy, text, rule and report"
            raise InvalidTransaction("policy", told)
        new, old = self._judged_texts(wish)
        with self._doing(by) as (work, doing):
            queued(work.backtest_jobs.waiting())
            job = BacktestJob(
                number=work.backtest_jobs.next_number(),
                new=new,
                old=old,
                scope=wish.scope,
                by=by.person.name,
                origin=by.person.origin,
                at_ms=doing.at_ms,
                why=doing.why,
            )
            work.backtest_jobs.add(job)
            _record(work, "backtest.ask", job, doing)
            return _told(work, job.number)

    def cancel(self, by: By, number: int) -> ToldBacktest:
        """Cancel one that waits or runs; the copy that runs it ends it in a second."""
        by.person.needs(Right.BACKTEST)
        with self._doing(by) as (work, doing):
            job = _told(work, number).job
            if job is None:
                raise NotPossible(f"backtest {number} was brought: nothing runs")
            ended = job.ended(JobState.CANCELLED, doing.at_ms)
            work.backtest_jobs.save(ended)
            _record(work, "backtest.cancel", ended, doing)
            return _told(work, number)

    def told(self, person: Person, number: int) -> ToldBacktest:
        """One backtest, with its figures once it is done; raises `NotFound`."""
        person.needs(Right.READ)
        with reading(self._database) as work:
            return _told(work, number)

    def listed(
        self,
        person: Person,
        *,
        version: str,
        below: int | None,
        count_max: int,
        reports: bool | None = None,
    ) -> list[ToldBacktest]:
        """The newest that the control plane runs or ran, without figures.

        Reports alone, or none, where that is said.
        """
        person.needs(Right.READ)
        with reading(self._database) as work:
            jobs = work.backtest_jobs.jobs(
                version=version, below=below, count_max=count_max, reports=reports
            )
            return [ToldBacktest(j.number, j, None, _ahead(work, j)) for j in jobs]

    # The copy that runs them ------------------------------------------------------

    def begin(self, holder: str) -> BacktestJob | None:
        """Take the oldest that waits, for a copy that has the lease.

        What another copy ran, or this one before it lost the lease, is interrupted.
        """
        with writing(self._database) as work:
            for job in work.backtest_jobs.in_state(JobState.RUNNING):
                ended = job.ended(JobState.FAILED, self._now_ms(), INTERRUPTED)
                work.backtest_jobs.save(ended)
            waiting = work.backtest_jobs.in_state(JobState.QUEUED)
            if not waiting:
                return None
            begun = waiting[0].begun(holder, self._now_ms())
            work.backtest_jobs.save(begun)
            return begun

    def waits(self) -> bool:
        """Whether there is anything to run, or to be called interrupted."""
        with reading(self._database) as work:
            jobs = work.backtest_jobs
            return bool(jobs.waiting() or jobs.in_state(JobState.RUNNING))

    def moved(self, job: BacktestJob, stage: str, done: float) -> bool:
        """Keep how far one is; False where it is no longer this copy's to run."""
        with reading(self._database) as work:
            now = _running(work, job)
        if now is None:
            return False
        further = now.moved(stage, done)
        if further is None:
            return True
        with writing(self._database) as work:
            now = _running(work, job)
            if now is not None:
                work.backtest_jobs.save(further)
            return now is not None

    def failed(self, job: BacktestJob, why: str) -> None:
        """Keep why one failed, where it is still this copy's."""
        with writing(self._database) as work:
            now = _running(work, job)
            if now is not None:
                ended = now.ended(JobState.FAILED, self._now_ms(), why)
                work.backtest_jobs.save(ended)

    def finished(self, job: BacktestJob, found: Backtest) -> bool:
        """Keep the figures of one; False where it is no longer this copy's."""
        with writing(self._database) as work:
            now = _running(work, job)
            if now is None:
                return False
            at_ms = self._now_ms()
            work.backtest_jobs.save(now.ended(JobState.DONE, at_ms))
            kept = replace(
                found, number=job.number, by=job.by, at_ms=at_ms, brought=False
            )
            person = Person(job.by, frozenset(), job.origin)
            keep_figures(work, kept, Doing(person, at_ms, job.why))
            return True

    # ---------------------------------------------------------------------------

    def _judged_texts(self, wish: BacktestWish) -> tuple[JudgedText, JudgedText]:
        """The new text and the old one, compiled before a writer holds others up."""
        with reading(self._database) as work:
            old = _old(work, wish.against)
            new = None
            if wish.policy is not None:
                new = _judged(work.policies.policy(wish.policy))
        if old is None:
            settled = self._settled()
            old = self._sent(settled.text, settled.reasons)
        if new is not None:
            return new, old
        if wish.report:
            return old, old
        if wish.rule:
            version = self._texts.with_rule(old.text, old.reasons, wish.rule).version
            return replace(old, version=version, policy=None, rule=wish.rule), old
        return self._sent(wish.text, wish.reasons), old

    def _sent(self, text: str, reasons: str | None) -> JudgedText:
        checked = self._texts.checked(text, reasons)
        return JudgedText(
            version=checked.version, text=checked.text, reasons=checked.reasons
        )

    @contextmanager
    def _doing(self, by: By) -> Iterator[tuple[UnitOfWork, Doing]]:
        why = checked_why(by.why, because=())
        with writing(self._database) as work:
            yield work, replace(by, why=why).at(self._now_ms())


def _old(work: UnitOfWork, against: int | None) -> JudgedText | None:
    """A version, by default the one in force; None before the first release."""
    if against is None:
        kept = work.policies.in_force()
        against = None if kept is None else kept.arrangement.policy
    return None if against is None else _judged(work.policies.policy(against))


def _judged(policy: PolicyVersion) -> JudgedText:
    checked = policy.checked
    return JudgedText(
        version=policy.version,
        text=checked.text,
        reasons=checked.reasons,
        policy=policy.number,
    )


def _told(work: UnitOfWork, number: int) -> ToldBacktest:
    job = work.backtest_jobs.job(number)
    if job is None:
        return ToldBacktest(number, None, work.policies.backtest(number))
    figures = None
    if job.state is JobState.DONE:
        figures = work.policies.backtest(number)
    return ToldBacktest(number, job, figures, _ahead(work, job))


def _ahead(work: UnitOfWork, job: BacktestJob) -> int:
    if job.state is not JobState.QUEUED:
        return 0
    running = len(work.backtest_jobs.in_state(JobState.RUNNING))
    return work.backtest_jobs.waiting(below=job.number) + running


def _running(work: UnitOfWork, job: BacktestJob) -> BacktestJob | None:
    now = work.backtest_jobs.job(job.number)
    if now is None or now.state is not JobState.RUNNING or now.holder != job.holder:
        return None
    return now


def _record(work: UnitOfWork, action: str, job: BacktestJob, doing: Doing) -> None:
    after = {
        "version": job.new.version,
        "against": job.old.version,
        "state": job.state.value,
    }
    subject = f"backtest {job.number}"
    work.audit.record(Change(action=action, subject=subject, after=after), doing)
