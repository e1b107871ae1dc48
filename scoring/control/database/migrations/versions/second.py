"""Cases: a queue of decisions, their notes, labels, and how far it was read."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TOKEN = sa.String(128)
_MS = sa.BigInteger()


def upgrade() -> None:
    """Make the tables."""
    _cases()
    _beside_a_case()
    _labels()
    _how_far()


def _column(name: str, kind: Any, *, absent: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=absent)


def _of_case(table: str) -> tuple[sa.Column[Any], sa.ForeignKeyConstraint]:
    named = f"fk_{table}_case_number"
    return (
        _column("case_number", sa.BigInteger()),
        sa.ForeignKeyConstraint(["case_number"], ["cases.number"], name=named),
    )


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _cases() -> None:
    op.create_table(
        "cases",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        _column("tenant", sa.String(64)),
        _column("transaction_id", _TOKEN),
        _column("payment_id", _TOKEN),
        _column("attempt", sa.Integer()),
        _column("outcome", sa.String(16)),
        _column("score", sa.Float(), absent=True),
        _column("provisional", sa.Boolean()),
        _column("decided_at_ms", _MS),
        _column("occurred_at_ms", _MS),
        _column("amount_minor", sa.BigInteger(), absent=True),
        _column("currency", sa.String(3)),
        _column("worth_minor", sa.BigInteger(), absent=True),
        _column("rank_minor", sa.BigInteger()),
        *(_column(name, _TOKEN) for name in ("card", "customer", "device", "merchant")),
        _column("policy", sa.String(16)),
        _column("rules", sa.Text()),
        _column("reasons", sa.Text()),
        _column("opened_at_ms", _MS),
        _column("due_at_ms", _MS),
        _column("revision", sa.Integer()),
        _column("assignee", sa.String(200)),
        _column("lease_until_ms", _MS),
        _column("is_closed", sa.Boolean()),
        _column("closed_at_ms", _MS, absent=True),
        _column("closing", sa.Text(), absent=True),
        _column("labelled", sa.BigInteger()),
        _column("erased", sa.Boolean()),
        _key("cases", "number"),
    )
    _indexes()


def _indexes() -> None:
    queue = ("is_closed", "decided_at_ms", "number")
    _index("transaction", "tenant", "transaction_id", unique=True)
    tried = ("due_at_ms", "lease_until_ms", "outcome", "merchant", "assignee", "tenant")
    largest = ("is_closed", sa.text("rank_minor DESC"), "number", "decided_at_ms")
    _index("oldest", *queue, "rank_minor", *tried)
    _index("largest", *largest, *tried)
    _index("merchant", "merchant", *queue)
    _index("assignee", "assignee", *queue)
    _index("card", "card")
    _index("customer", "customer")
    _index("device", "device")
    _index("payment", "payment_id")
    _index(
        "kept",
        "closed_at_ms",
        where=("is_closed = 1 AND erased = 0", "is_closed AND NOT erased"),
    )
    _index(
        "provisional",
        "number",
        where=("provisional = 1 AND is_closed = 0", "provisional AND NOT is_closed"),
    )


def _index(
    name: str, *columns: object, where: tuple[str, str] = ("", ""), unique: bool = False
) -> None:
    """An index of cases, of some of them `where`: as SQLite and PostgreSQL say it.

    Each in the words of its queries: SQLite passes over an index whose differ.
    """
    on_sqlite, on_postgresql = (sa.text(some) if some else None for some in where)
    op.create_index(
        f"ix_cases_{name}",
        "cases",
        list(columns),  # type: ignore[arg-type]
        unique=unique,
        sqlite_where=on_sqlite,
        postgresql_where=on_postgresql,
    )


def _beside_a_case() -> None:
    op.create_table(
        "case_decisions",
        *_of_case("case_decisions"),
        _column("decision", sa.LargeBinary()),
        _key("case_decisions", "case_number"),
    )
    op.create_table(
        "case_tags",
        _column("tag", sa.String(80)),
        *_of_case("case_tags"),
        _key("case_tags", "tag", "case_number"),
    )
    op.create_table(
        "case_notes",
        *_of_case("case_notes"),
        sa.Column("note", sa.Integer(), autoincrement=False, nullable=False),
        _column("by", sa.String(200)),
        _column("at_ms", _MS),
        _column("text", sa.Text()),
        _key("case_notes", "case_number", "note"),
    )


def _labels() -> None:
    op.create_table(
        "case_labels",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        *_of_case("case_labels"),
        _column("version", sa.BigInteger()),
        _column("verdict", sa.Integer()),
        _column("known_at_ms", _MS),
        _column("key", _TOKEN),
        _column("value", sa.LargeBinary(), absent=True),
        _column("published_at_ms", _MS, absent=True),
        _key("case_labels", "sequence"),
    )
    once = ["case_number", "version"]
    op.create_index("ix_case_labels_version", "case_labels", once, unique=True)
    some = sa.text("published_at_ms IS NULL")
    op.create_index(
        "ix_case_labels_new",
        "case_labels",
        ["sequence"],
        sqlite_where=some,
        postgresql_where=some,
    )


def _how_far() -> None:
    op.create_table(
        "case_positions",
        _column("topic", sa.String(249)),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        _column("incarnation", sa.String(64)),
        _column("next_offset", sa.BigInteger()),
        _key("case_positions", "topic", "partition"),
    )
    op.create_table(
        "case_bulks",
        _column("selection", sa.String(64)),
        _column("by", sa.String(200)),
        _column("at_ms", _MS),
        _column("count", sa.Integer()),
        _key("case_bulks", "selection"),
    )
