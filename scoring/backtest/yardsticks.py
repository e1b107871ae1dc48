"""The schemes' yardsticks over an archive, each with its formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scoring.backtest.run import DEFAULTS, BacktestOptions, workbench
from scoring.backtest.source import ArchiveSource
from scoring.core.decision.decision import Outcome
from scoring.core.transaction.transaction import Channel
from scoring.training.offline.rates import with_amounts

SCA_SOURCE = (
    "Regulation (EU) 2018/389 on strong customer authentication, article 19 and annex, "
    "card payments"
)
# Up to an amount in EUR, in basis points.
SCA_BANDS = ((500, 1.0), (250, 6.0), (100, 13.0))
SCA_FORMULA = (
    "fraud rate = amount of the fraudulent accepted remote payments / amount of all "
    "accepted remote payments, of the last 90 days; remote: channel ECOMMERCE"
)
DISPUTES_FORMULA = (
    "ratio = (early warnings + chargebacks that first became known in the month) / "
    "payments accepted in the month, by count; a payment with both counts twice"
)
_ACCEPTED = (
    f"recorded <> {int(Outcome.DECLINE)} AND coalesce(unfit, '') <> "
    "'recorded more than once'"
)


@dataclass(frozen=True, slots=True)
class RemoteFraud:
    """Fraud among remote payments, by amount in the reference currency.

    `exempt_up_to_eur` is the largest amount for which the rate lies within its band;
    0 where it lies in none, None where there is no remote payment.
    """

    amount_minor: int
    fraud_minor: int

    @property
    def rate_bps(self) -> float | None:
        """The fraud rate in basis points.

        >>> RemoteFraud(1_000_000, 700).rate_bps
        7.0
        """
        if not self.amount_minor:
            return None
        return self.fraud_minor / self.amount_minor * 10_000

    @property
    def exempt_up_to_eur(self) -> int | None:
        """Up to which amount the exemption of low risk is open.

        >>> RemoteFraud(1_000_000, 700).exempt_up_to_eur
        100
        """
        rate = self.rate_bps
        if rate is None:
            return None
        return next((eur for eur, most in SCA_BANDS if rate <= most), 0)


@dataclass(frozen=True, slots=True)
class MerchantMonth:
    """Disputes and fraud reports of one merchant that became known in one month."""

    tenant: str
    merchant: str
    month: str
    accepted: int
    early_warnings: int
    chargebacks: int

    @property
    def ratio(self) -> float | None:
        """The dispute and fraud ratio; None in a month without payments.

        >>> MerchantMonth("default", "m", "2026-01", 200, 1, 2).ratio
        0.015
        """
        told = self.early_warnings + self.chargebacks
        return told / self.accepted if self.accepted else None


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """Both yardsticks over one archive, merchants with disputes only."""

    remote: RemoteFraud
    merchants: tuple[MerchantMonth, ...]


def yardsticks(
    source: ArchiveSource, options: BacktestOptions = DEFAULTS
) -> Yardsticks:
    """Work out the yardsticks; raises `BadArtifact` where nothing is archived.

    They are of what was decided, whatever definitions and version decided it.
    """
    with workbench(options) as con:
        span = source.span(con, options.days, options.label_delay_days)
        for table in _TABLES:
            con.execute(f"CREATE TEMP TABLE {table}")
        for _ in source.chunks(con, span):
            accepted = f"(SELECT * FROM paid WHERE {_ACCEPTED})"  # noqa: S608
            amounts = with_amounts(con, source.catalogue, accepted)
            con.execute(f"INSERT INTO remote {_REMOTE.format(amounts)}")
            con.execute(f"INSERT INTO accepted {_BY_MONTH.format(accepted)}")
            con.execute(f"INSERT INTO told_in {_TOLD.format(accepted)}")
        return _found(con)


_TABLES = (
    "remote (amount HUGEINT, fraud HUGEINT)",
    "accepted (tenant VARCHAR, merchant VARCHAR, month VARCHAR, count BIGINT)",
    """told_in (tenant VARCHAR, merchant VARCHAR, month VARCHAR, source VARCHAR,
    count BIGINT)""",
)
_MONTH = "strftime(make_timestamp({} * 1000), '%Y-%m')"
_REMOTE = (
    """SELECT coalesce(sum(amount), 0), coalesce(sum(amount) FILTER (told_fraud), 0)
    FROM {} """  # noqa: S608 our own
    f"WHERE channel = {int(Channel.ECOMMERCE)}"
)
_BY_MONTH = (
    f"SELECT tenant, merchant, {_MONTH.format('occurred_at_ms')}, count(*) "  # noqa: S608
    "FROM {} WHERE merchant <> '' GROUP BY ALL"
)
# Once for each payment and source: a later version of a label is no other dispute.
_TOLD = (
    f"SELECT p.tenant, merchant, {_MONTH.format('first_ms')}, source, count(*) "  # noqa: S608
    """FROM (SELECT tenant, id, source, min(known_at_ms) AS first_ms FROM labels_known
        WHERE source IN ('chargeback', 'early_warning') AND verdict <> 'withdrawn'
        GROUP BY ALL) l
    JOIN {} p ON p.tenant = l.tenant AND p.id = l.id WHERE merchant <> ''
    GROUP BY ALL"""
)


def _found(con: Any) -> Yardsticks:
    ((amount, fraud),) = con.execute(
        "SELECT coalesce(sum(amount), 0), coalesce(sum(fraud), 0) FROM remote"
    ).fetchall()
    rows = con.execute(
        """WITH t AS (SELECT tenant, merchant, month,
            coalesce(sum(count) FILTER (source = 'early_warning'), 0) AS early,
            coalesce(sum(count) FILTER (source = 'chargeback'), 0) AS charged
            FROM told_in GROUP BY ALL),
        a AS (SELECT tenant, merchant, month, sum(count) AS count FROM accepted
            GROUP BY ALL)
        SELECT t.tenant, t.merchant, t.month, coalesce(a.count, 0)::BIGINT,
            early::BIGINT, charged::BIGINT
        FROM t LEFT JOIN a USING (tenant, merchant, month)
        ORDER BY (early + charged) / greatest(coalesce(a.count, 0), 1) DESC,
            t.tenant, t.merchant, t.month"""
    ).fetchall()
    return Yardsticks(
        RemoteFraud(int(amount), int(fraud)), tuple(MerchantMonth(*r) for r in rows)
    )
