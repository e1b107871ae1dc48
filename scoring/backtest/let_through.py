"""What the let-through sample of an archive tells, each figure with its formula."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import DecodeError

from scoring.backtest.run import DEFAULTS, BacktestOptions, workbench
from scoring.backtest.source import ArchiveSource
from scoring.backtest.trial import truth_sql
from scoring.core.decision.decision import (
    DecisionCore,
    Degradation,
    DegradationCode,
    Outcome,
    Reason,
    ReasonSource,
    RuleHit,
    RuleMode,
)
from scoring.core.policy.policy import Policy
from scoring.core.policy.sample_figures import (
    Estimate,
    precision_of_declines,
    realised_share,
)
from scoring.core.transaction.transaction import Transaction
from scoring.errors import BadArtifact
from scoring.replay.slices import GENUINE, PaymentClass
from scoring.v1 import decision_pb2

REALISED_FORMULA = (
    "realised share = payments let through / payments that the sample might have let "
    "through, these included, of what this version decided; every attempt of a payment "
    "is one"
)
PRECISION_FORMULA = (
    "precision of the declines = sum of 1 / probability over the let-through payments "
    "that are fraud / the same sum over all that are old enough to be labelled, "
    "whichever version let them through"
)
_BATCH = 10_000
_ONCE = "coalesce(unfit, '') NOT IN ('recorded more than once', 'forgotten')"


@dataclass(frozen=True, slots=True)
class SampleFigures:
    """A version's sample: `share` as it is set, and what came of it.

    `realised` is None where nothing was eligible, `precision` where nothing that was
    let through is old enough to be labelled.
    """

    share: float
    eligible: int
    let_through: int
    realised: Estimate | None
    precision: Estimate | None


def sample_figures(
    source: ArchiveSource, policy: Policy, options: BacktestOptions = DEFAULTS
) -> SampleFigures | None:
    """The figures of an archive; None where the version lets nothing through.

    Raises `BadArtifact` where nothing is archived, or a record cannot be read.
    """
    sample = policy.sample
    if sample is None:
        return None
    chosen: dict[tuple[str, str], bool] = {}
    probabilities: list[float] = []
    fraud: list[bool] = []
    with workbench(options) as con:
        span = source.span(con, options.days, options.label_delay_days)
        span = replace(span, tenant=options.tenant)
        for _ in source.chunks(con, span):
            for payment, through, core, transaction in _would_be(con, policy.version):
                if through or sample.costs(core, transaction) is not None:
                    chosen[payment] = chosen.get(payment, False) or through
            judged = ", ".join(f"'{known.value}'" for known in (_FRAUD, *GENUINE))
            for probability, truth in con.execute(
                f"""SELECT let_through, {truth_sql(span)} AS truth FROM paid
                WHERE let_through > 0 AND {_ONCE} AND truth IN ({judged})"""  # noqa: S608
            ).fetchall():
                probabilities.append(probability)
                fraud.append(truth == _FRAUD.value)
    passed = sum(chosen.values())
    return SampleFigures(
        share=sample.share,
        eligible=len(chosen),
        let_through=passed,
        realised=realised_share(passed, len(chosen)),
        precision=precision_of_declines(probabilities, fraud),
    )


_FRAUD = PaymentClass.FRAUD
_WouldBe = tuple[tuple[str, str], bool, DecisionCore, Transaction]


def _would_be(con: Any, version: str) -> Iterator[_WouldBe]:
    """What a version declined, or let through: its payment, which, and the record."""
    rows = con.execute(
        f"""SELECT tenant, id, coalesce(nullif(payment_id, ''), id) AS payment,
            coalesce(let_through > 0, false), occurred_at_ms, amount_minor, currency,
            decision
        FROM paid WHERE policy_version = ? AND {_ONCE}
            AND (recorded = {int(Outcome.DECLINE)} OR let_through > 0)""",  # noqa: S608
        [version],
    )
    while batch := rows.fetchmany(_BATCH):
        for tenant, id_, payment, through, at_ms, minor, currency, decision in batch:
            yield (
                (tenant, payment),
                through,
                _core(tenant, id_, decision),
                Transaction(
                    tenant,
                    id_,
                    occurred_at_ms=at_ms,
                    amount_minor=minor,
                    currency=currency,
                ),
            )


def _core(tenant: str, id_: str, decision: bytes) -> DecisionCore:
    """What of a recorded decision says whether the sample might have it."""
    try:
        core = decision_pb2.Decision.FromString(decision).core
    except (DecodeError, TypeError) as error:
        raise BadArtifact(
            f"archive: the decision of {tenant}/{id_} cannot be read: "
            "`scoring archive` did not write it; move its file elsewhere"
        ) from error
    return DecisionCore(
        tenant=tenant,
        transaction_id=id_,
        payload_hash=b"",
        outcome=Outcome(core.outcome),
        score=None,
        margin=None,
        reasons=tuple(
            Reason(one.code, one.wording, ReasonSource(one.source))
            for one in core.reasons
        ),
        rule_hits=tuple(
            RuleHit(hit.rule, Outcome(hit.outcome), RuleMode(hit.mode))
            for hit in core.rule_hits
        ),
        degradations=tuple(
            Degradation(DegradationCode(one.code), one.detail)
            for one in core.degradations
        ),
        provisional=core.provisional,
    )
