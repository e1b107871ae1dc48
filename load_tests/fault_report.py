"""The figures of a fault drill: of one run, and of several together."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any

from load_tests.fault_callers import Callers
from load_tests.open_loop import Run

MISSED_SHARE_MAX = 1e-4
FULL_AGAIN_S_MAX = 5.0
# Of the answers from then on: a store that rewrites its file pauses, too.
DEGRADED_SHARE_MAX = 0.01
_NEVER_S = 1e9  # JSON knows no infinity
_PHASES = ("before", "broken", "cured")


def report(
    callers: Callers, run: Run, null: Run, broken: tuple[float, float]
) -> dict[str, object]:
    """One run; `broken` is when the part went away and when it was back."""
    cured_at = broken[1]
    late = cured_at + FULL_AGAIN_S_MAX
    full_again_s = (at - cured_at for at in callers.full_at if at > cured_at)
    return {
        **run.summary(),
        "missed": _missed(run),
        "missed_when": by_phase(callers.missed_at, broken),
        "null_missed": _missed(null),
        "null_p99_ms": null.summary()["p99_ms"],
        "degraded": dict(callers.degraded),
        "degraded_answers": len(callers.degraded_at),
        "degraded_when": by_phase(callers.degraded_at, broken),
        "full_after_s": round(min(full_again_s, default=_NEVER_S), 3),
        "degraded_beyond_5_s": sum(at > late for at in callers.degraded_at),
        "full_beyond_5_s": sum(at > late for at in callers.full_at),
        "retried": callers.retried,
    }


def _missed(run: Run) -> int:
    return sum(run.statuses.values()) - run.statuses["OK"]


def by_phase(instants: Sequence[float], broken: tuple[float, float]) -> dict[str, int]:
    """How many instants lie before the fault, within it and after it.

    >>> by_phase([1.0, 2.0, 2.5, 9.0], (2.0, 3.0))
    {'before': 1, 'broken': 2, 'cured': 1}
    """
    counts = Counter(_PHASES[bisect_right(broken, at)] for at in instants)
    return {phase: counts[phase] for phase in _PHASES}


def pooled(runs: Sequence[dict[str, Any]]) -> dict[str, object]:
    """All runs of a fault as one, and whether the promise was kept.

    Kept: of 10,000 calls at most one was missed beyond what the null server missed in
    the same seconds; full decisions came within 5 s of the cure, and from then on at
    most one in a hundred was degraded; every provisional answer that was looked up had
    become the record; and where the log was counted, it has every answer once.
    """
    calls, missed, null_missed, sampled, reconciled, degraded_late, full_late = (
        sum(run[name] for run in runs)
        for name in (
            *("calls", "missed", "null_missed"),
            *("provisional_sampled", "provisional_reconciled"),
            *("degraded_beyond_5_s", "full_beyond_5_s"),
        )
    )
    share = max(missed - null_missed, 0) / max(calls, 1)
    in_log = [
        sum(run.get(name, 0) for run in runs)
        for name in ("log_lost", "log_duplicated", "log_conflicting")
    ]
    full_after_s = max(run["full_after_s"] for run in runs)
    return {
        "fault": runs[0]["fault"],
        "runs": len(runs),
        "void_runs": sum(run["void"] for run in runs),
        "lag_p99_ms_max": max(run["lag_p99_ms"] for run in runs),
        "calls": calls,
        "missed": missed,
        "null_missed": null_missed,
        "missed_share_beyond_null": share,
        "full_after_s_max": full_after_s,
        "degraded_beyond_5_s": degraded_late,
        "full_beyond_5_s": full_late,
        "provisional_sampled": sampled,
        "provisional_reconciled": reconciled,
        "log_lost": in_log[0],
        "log_duplicated": in_log[1],
        "kept": share <= MISSED_SHARE_MAX
        and full_after_s <= FULL_AGAIN_S_MAX
        and degraded_late <= DEGRADED_SHARE_MAX * (degraded_late + full_late)
        and all(run["full_again"] for run in runs)
        and reconciled == sampled
        and not any(in_log),
    }
