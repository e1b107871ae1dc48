"""The tables of cases; times are UTC, in ms since 1970."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    true,
)

from scoring.control.database.tables import METADATA

_TOKEN = String(128)


def _case(name: str = "case_number") -> Column[int]:
    return Column(name, BigInteger, ForeignKey("cases.number"), primary_key=True)


# Narrow: lists are read from it, and some filters look at each case of a queue. What
# is personal in it is "" once `erased`.
CASES = Table(
    "cases",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", String(64), nullable=False),
    Column("transaction_id", _TOKEN, nullable=False),
    Column("payment_id", _TOKEN, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("score", Float, nullable=True),
    Column("provisional", Boolean, nullable=False),
    Column("decided_at_ms", BigInteger, nullable=False),
    Column("occurred_at_ms", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=True),
    Column("currency", String(3), nullable=False),
    Column("worth_minor", BigInteger, nullable=True),
    Column("rank_minor", BigInteger, nullable=False),  # -1: what it is worth is unknown
    Column("card", _TOKEN, nullable=False),
    Column("customer", _TOKEN, nullable=False),
    Column("device", _TOKEN, nullable=False),
    Column("merchant", _TOKEN, nullable=False),
    Column("policy", String(16), nullable=False),
    Column("rules", Text, nullable=False),  # a JSON array
    Column("reasons", Text, nullable=False),  # a JSON array
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("assignee", String(200), nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False),
    Column("is_closed", Boolean, nullable=False),
    Column("closed_at_ms", BigInteger, nullable=True),
    Column("closing", Text, nullable=True),  # JSON
    Column("labelled", BigInteger, nullable=False),
    Column("erased", Boolean, nullable=False),
)
_C = CASES.c
Index("ix_cases_transaction", _C.tenant, _C.transaction_id, unique=True)
# The orders of a queue, each with what it is filtered by: a filter that few cases pass
# is tried in the index, without a look at the rows of all the others.
_TRIED = (_C.due_at_ms, _C.lease_until_ms, _C.outcome, _C.merchant, _C.assignee)
Index(
    "ix_cases_oldest",
    *(_C.is_closed, _C.decided_at_ms, _C.number, _C.rank_minor, *_TRIED, _C.tenant),
)
Index(
    "ix_cases_largest",
    *(_C.is_closed, _C.rank_minor.desc(), _C.number, _C.decided_at_ms),
    *(*_TRIED, _C.tenant),
)
Index("ix_cases_merchant", _C.merchant, _C.is_closed, _C.decided_at_ms, _C.number)
Index("ix_cases_assignee", _C.assignee, _C.is_closed, _C.decided_at_ms, _C.number)
# What cases have in common.
Index("ix_cases_card", _C.card)
Index("ix_cases_customer", _C.customer)
Index("ix_cases_device", _C.device)
Index("ix_cases_payment", _C.payment_id)
_KEPT = (_C.is_closed) & (~_C.erased)
Index("ix_cases_kept", _C.closed_at_ms, sqlite_where=_KEPT, postgresql_where=_KEPT)
_PROVISIONAL = _C.provisional & ~_C.is_closed
Index(
    "ix_cases_provisional",
    _C.number,
    sqlite_where=_PROVISIONAL,
    postgresql_where=_PROVISIONAL,
)

# The decision with its payment, as the topic has it but for its features.
CASE_DECISIONS = Table(
    "case_decisions", METADATA, _case(), Column("decision", LargeBinary, nullable=False)
)

# Rules and reasons: "rule:velocity", "reason:CARD_BLOCKED".
CASE_TAGS = Table(
    "case_tags", METADATA, Column("tag", String(80), primary_key=True), _case()
)

CASE_NOTES = Table(
    "case_notes",
    METADATA,
    _case(),
    Column("note", Integer, primary_key=True, autoincrement=False),
    Column("by", String(200), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
)

# Labels on their way to their topic. `value` is NULL once it is there, `key` is "".
CASE_LABELS = Table(
    "case_labels",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("case_number", BigInteger, ForeignKey("cases.number"), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("verdict", Integer, nullable=False),
    Column("known_at_ms", BigInteger, nullable=False),
    Column("key", _TOKEN, nullable=False),
    Column("value", LargeBinary, nullable=True),
    Column("published_at_ms", BigInteger, nullable=True),
)
Index(
    "ix_case_labels_version",
    CASE_LABELS.c.case_number,
    CASE_LABELS.c.version,
    unique=True,
)
_NEW = CASE_LABELS.c.published_at_ms.is_(None)
Index(
    "ix_case_labels_new",
    CASE_LABELS.c.sequence,
    sqlite_where=_NEW,
    postgresql_where=_NEW,
)

# How far each partition of the decisions topic was read; of one incarnation of it.
CASE_POSITIONS = Table(
    "case_positions",
    METADATA,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("incarnation", String(64), nullable=False),
    Column("next_offset", BigInteger, nullable=False),
)

# What was done with a selection: who says it again is told the same.
CASE_BULKS = Table(
    "case_bulks",
    METADATA,
    Column("selection", String(64), primary_key=True),
    Column("by", String(200), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("cases", Text, nullable=False, server_default="[]"),  # (number, revision)
    Column("place", Integer, nullable=False, server_default="0"),
    Column("left", Text, nullable=False, server_default="[]"),  # (number, why)
    Column("rose", Boolean, nullable=False, server_default=true()),
)
