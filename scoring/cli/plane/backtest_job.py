"""One backtest of a control plane, in a process of its own that it starts.

It tells lines of JSON on its output, and ends when its input does: the control plane is
gone then.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from scoring.errors import BadArtifact, ScoringError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scoring.backtest.managed import KnownLists
    from scoring.backtest.model_figures import Baselines
    from scoring.backtest.result import BacktestResult
    from scoring.backtest.run import BacktestOptions
    from scoring.backtest.source import PaidSource
    from scoring.control.domain.backtest_jobs import BacktestJob, JudgedText
    from scoring.core.features.catalogue import Catalogue
    from scoring.core.model.bundle import Baseline
    from scoring.core.policy.policy import Policy
    from scoring.settings import Settings
    from scoring.training.progress import Report

_NICE = 10  # beside requests, of which people wait
_OOM_SCORE = 900  # of 1,000: where memory ends, this ends first
_EVERY = 0.001  # progress of less is not told


def judge_job(settings: Settings, number: int) -> None:
    """Judge a job and tell what comes of it; a refusal is told, never raised."""
    _step_back()
    _end_with_input()
    try:
        _tell({"backtest": _judged(settings, number)})
    except ScoringError as error:
        _tell({"refused": str(error)})
    except ImportError as error:
        from scoring.extras import advice

        _tell({"refused": advice(error.name or "", ["control"]) or str(error)})


def _step_back() -> None:
    with suppress(OSError):
        os.nice(_NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))


def _end_with_input() -> None:
    """End this process once its input ends: nobody reads what it would tell."""

    def waiting() -> None:
        while os.read(0, 4_096):  # no buffer, which the interpreter's end waits for
            pass
        os._exit(1)

    threading.Thread(target=waiting, daemon=True).start()


def _tell(told: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _judged(settings: Settings, number: int) -> dict[str, object]:
    from scoring.backtest.run import BacktestOptions, backtest
    from scoring.backtest.side import Judging
    from scoring.backtest.source import source_of
    from scoring.cli.plane.kept_backtest import backtest_for_gate
    from scoring.wiring.definitions import catalogue_from

    if settings.archive_dir is None:
        raise BadArtifact("SCORING_ARCHIVE_DIR: is not set where the control plane is")
    catalogue = catalogue_from(settings)
    source = source_of(settings.archive_dir, catalogue)
    job, (new, old), lists = _asked(settings, number, catalogue)
    scope = job.scope
    options = BacktestOptions(
        scope.days,
        scope.label_delay_days,
        settings.control_backtest_memory_mb,
        tenant=scope.tenant,
        judging=Judging(lists, everyone=scope.rolled_out),
    )
    found = backtest(source, new, old, options=options, report=_progress())
    told = asdict(backtest_for_gate(found))
    if job.is_report:
        _tell({"stage": "reporting", "done": 0.0})
        told["figures"] |= _reported(source, found, new, options)
    return told


def _reported(
    source: PaidSource,
    found: BacktestResult,
    policy: Policy,
    options: BacktestOptions,
) -> dict[str, object]:
    """What a report has beside a backtest's figures: yardsticks, and the models."""
    from scoring.backtest.let_through import sample_figures
    from scoring.backtest.model_figures import model_figures
    from scoring.backtest.report import Beside, report_json
    from scoring.backtest.source import ArchiveSource
    from scoring.backtest.yardsticks import yardsticks

    assert isinstance(source, ArchiveSource)  # its directory is the setting's
    sample = sample_figures(source, policy, options)
    beside = Beside(yardsticks(source, options), sample)
    return {
        "report": report_json(found, policy, beside),
        "models": model_figures(source, _baselines(), options),
    }


def _baselines() -> Baselines:
    """What models looked like when they were judged, by the services' registry."""
    from scoring.cli.models import registry_at
    from scoring.errors import ModelRegistryUnavailable

    registry = registry_at("")

    def known(version: str) -> tuple[Baseline, tuple[str, ...]] | None:
        try:
            manifest = registry.manifest(version)
        except (BadArtifact, ModelRegistryUnavailable):
            return None  # it is not kept any more
        return manifest.baseline, manifest.feature_names

    return known


def _progress() -> Report:
    """Tells each step that is large enough to be seen."""
    last = ("", -1.0)

    def report(stage: str, done: float) -> None:
        nonlocal last
        if stage != last[0] or done - last[1] >= _EVERY:
            last = stage, done
            _tell({"stage": stage, "done": round(done, 6)})

    return report


def _asked(
    settings: Settings, number: int, catalogue: Catalogue
) -> tuple[BacktestJob, tuple[Policy, Policy], KnownLists]:
    """The job, its versions, and their managed lists as they are kept now."""
    from scoring.backtest.managed import lists_in_database, names_of
    from scoring.control.database.unit_of_work import reading
    from scoring.wiring.control_parts import database_from

    database = database_from(settings)
    try:
        with reading(database) as work:
            job = work.backtest_jobs.job(number)
            if job is None:
                raise BadArtifact(f"backtest {number}: is not kept any more")
            both = _version(job.new, catalogue), _version(job.old, catalogue)
            lists = lists_in_database(work, names_of(both))
    finally:
        database.close()
    return job, both, lists.always() if job.scope.lists_as_now else lists


def _version(judged: JudgedText, catalogue: Catalogue) -> Policy:
    """A version by its text; raises `BadArtifact`, also where it means another now."""
    from scoring.core.policy.policy import load_policy
    from scoring.core.policy.reasons import load_reasons
    from scoring.core.policy.rule_file import with_rule

    reasons = None
    if judged.reasons is not None:
        reasons = load_reasons(judged.reasons, catalogue=catalogue, name="reasons")
    name = "policy" if judged.policy is None else f"version {judged.policy}"
    policy = load_policy(judged.text, catalogue=catalogue, name=name, reasons=reasons)
    if judged.rule:
        policy = with_rule(policy, judged.rule, catalogue=catalogue, name="rule")
    if policy.version != judged.version:
        raise BadArtifact(
            f"{name}: was {judged.version} when it was asked for, and means "
            f"{policy.version} by the definitions of today; ask again"
        )
    return policy
