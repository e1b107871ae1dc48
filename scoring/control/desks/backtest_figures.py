"""The figures of a backtest, kept with what the audit says of them."""

from __future__ import annotations

import json
from hashlib import sha256

from scoring.control.database.unit_of_work import UnitOfWork
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.gate import Backtest
from scoring.control.domain.people import Doing


def keep_figures(work: UnitOfWork, kept: Backtest, doing: Doing) -> None:
    """Keep them, and record who worked them out."""
    work.policies.add_backtest(kept)
    subject = f"backtest {kept.number}"
    change = Change(action="policy.backtest", subject=subject, after=_written(kept))
    work.audit.record(change, doing)


def digest_of(backtest: Backtest) -> str:
    """The SHA-256 of all that it says."""
    report = json.dumps(dict(backtest.figures), sort_keys=True)
    return sha256(report.encode()).hexdigest()


def _written(kept: Backtest) -> dict[str, object]:
    return {
        "version": kept.version,
        "against": kept.against,
        "computed_by": kept.told,
        "accepted_count": kept.accepted_count,
        "accepted_amount_minor": kept.accepted_amount_minor,
        "declined_count": kept.declined_count,
        "declined_amount_minor": kept.declined_amount_minor,
        "figures_sha256": digest_of(kept),
    }
