"""The tables of the control plane's database; times are UTC, in ms since 1970."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

# Constraints have names of their own, so that a later migration can change them.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _number(name: str = "number") -> Column[int]:
    """A key that the application counts itself: two engines count differently."""
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


def _ms(name: str = "at_ms", *, absent: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=absent)


def _person(name: str = "by") -> Column[str]:
    return Column(name, String(200), nullable=False)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _version(name: str = "version") -> Column[str]:
    return Column(name, String(16), nullable=False)


def _of(table: str, name: str, *, absent: bool = False) -> Column[int]:
    return Column(
        name, BigInteger, ForeignKey(f"{table}.number"), nullable=absent, index=True
    )


# One row: the ends of what is counted. A writing transaction begins by locking it, so
# that sequences rise in the order in which transactions are committed.
HEADS = Table(
    "heads",
    METADATA,
    Column("number", Integer, CheckConstraint("number = 1", "one"), primary_key=True),
    Column("audit_sequence", BigInteger, nullable=False),
    Column("audit_hash", String(64), nullable=False),
    Column("outbox_sequence", BigInteger, nullable=False),
    Column("list_revision", BigInteger, nullable=False),
)

# Append-only: triggers refuse a change (migrations/versions).
AUDIT = Table(
    "audit",
    METADATA,
    _number("sequence"),
    _ms(),
    _person("person"),
    _text("origin"),
    Column("action", String(64), nullable=False, index=True),
    Column("subject", String(300), nullable=False, index=True),
    _text("before"),
    _text("after"),
    _text("why"),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)

OUTBOX = Table(
    "outbox",
    METADATA,
    _number("sequence"),
    Column("key", String(300), nullable=False, index=True),
    Column("value", LargeBinary, nullable=True),  # NULL deletes the key
    _ms("published_at_ms", absent=True),
)
# The relay looks several times a second, and what was published stays.
_NEW = OUTBOX.c.published_at_ms.is_(None)
Index("ix_outbox_new", OUTBOX.c.sequence, sqlite_where=_NEW, postgresql_where=_NEW)

PEOPLE_TOKENS = Table(
    "people_tokens",
    METADATA,
    Column("token_sha256", String(64), primary_key=True),
    _person("name"),
    _text("roles"),  # a JSON array
    _person(),
    _ms("created_at_ms"),
    _ms("revoked_at_ms", absent=True),
)

POLICIES = Table(
    "policies",
    METADATA,
    _number(),
    Column("version", String(16), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    _text("text"),
    Column("reasons", Text, nullable=True),  # NULL: the shipped table
    _text("lists"),  # a JSON array, what the text names
    Column("state", String(16), nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    _text("authors"),  # a JSON array
    _of("policies", "based_on", absent=True),
    _of("policies", "before", absent=True),
    Column("was_in_force", Boolean, nullable=False),
    _text("why"),
    _ms("created_at_ms"),
)

# What each revision of a draft said, and who wrote it.
POLICY_REVISIONS = Table(
    "policy_revisions",
    METADATA,
    Column("policy", BigInteger, ForeignKey("policies.number"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    _text("text"),
    _person(),
    _ms(),
)

BACKTESTS = Table(
    "backtests",
    METADATA,
    _number(),
    Column("version", String(16), nullable=False, index=True),
    _version("against"),
    *(
        Column(f"{what}_{unit}", BigInteger, nullable=False)
        for what in ("accepted", "declined")
        for unit in ("count", "amount_minor")
    ),
    _text("figures"),  # JSON
    Column("brought", Boolean, nullable=False),  # not run by the control plane
    _person(),
    _ms(),
)

PROPOSALS = Table(
    "proposals",
    METADATA,
    _number(),
    _of("policies", "policy"),
    _version(),
    Column("act", String(16), nullable=False),
    Column("share", Float, nullable=True),
    _of("backtests", "backtest", absent=True),
    _person(),
    _ms(),
    _text("why"),
    Column("stage", String(16), nullable=False, index=True),
    _person("decided_by"),
    _ms("decided_at_ms", absent=True),
    _text("reason"),
    _ms("lapses_at_ms", absent=True),
    Column("used_by", BigInteger, nullable=True, unique=True),
)

RELEASES = Table(
    "releases",
    METADATA,
    _number(),
    _of("policies", "policy"),
    _of("policies", "candidate", absent=True),
    Column("share", Float, nullable=True),
    _text("shadows"),  # a JSON array of numbers of policies
    _text("rearmed"),  # a JSON object
    _version(),
    _person(),
    _text("why"),
    _ms(),
    Column("audit_sequence", BigInteger, nullable=False),
    Column("audit_hash", String(64), nullable=False),
)

LISTS = Table(
    "lists",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("field", String(300), nullable=False),
    _text("about"),
    Column("revision", BigInteger, nullable=False),
    Column("count", BigInteger, nullable=False),
    _text("chunks"),  # a JSON array: its base in the topic
    Column("changed", Integer, nullable=False),  # entries, since the base
    _person(),
    _ms("created_at_ms"),
)

# What each revision did; `sent` while the topic holds it as a change of its own.
LIST_CHANGES = Table(
    "list_changes",
    METADATA,
    Column("list", String(64), primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    _text("what"),
    _person(),
    _ms(),
    Column("sent", Boolean, nullable=False),
)


# SQLite keeps such a table in one tree, by its key, and not in two.
_BY_KEY: dict[str, Any] = {"sqlite_with_rowid": False}


# Compared byte by byte on every engine, so that a prefix is a range of the key.
_TOKEN = String(256).with_variant(String(256, collation="C"), "postgresql")


def _entry_columns() -> tuple[Column[Any], ...]:
    return (
        Column("token", _TOKEN, primary_key=True),
        Column("hash", BigInteger, nullable=False),  # signed: its 64 bits
        _ms("until_ms"),
        _text("reason"),
    )


def _origin_columns() -> tuple[Column[Any], ...]:
    return (
        _person("author"),
        Column("source", String(100), nullable=False),
        _ms("added_at_ms"),
        # The import that said so; NULL where it was one by one.
        Column("import_number", BigInteger, nullable=True),
    )


# No foreign key: a million rows would each be looked up. The desk alone writes here.
LIST_ENTRIES = Table(
    "list_entries",
    METADATA,
    Column("list", String(64), primary_key=True),
    *_entry_columns(),
    *_origin_columns(),
    **_BY_KEY,
)

LIST_IMPORTS = Table(
    "list_imports",
    METADATA,
    _number(),
    Column("list", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("replaces", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),  # that it was read or made at
    Column("source", String(100), nullable=False),
    *(
        Column(count, BigInteger, nullable=False)
        for count in ("added", "changed", "removed", "unchanged", "repeated")
    ),
    _person(),
    _ms(),
    _ms("undone_at_ms", absent=True),
    # Of the file; of one that an earlier release read nobody knows it.
    Column("sha256", String(64), nullable=False, server_default=text("''")),
)

# The entries of an import before it is applied.
LIST_STAGED = Table(
    "list_staged",
    METADATA,
    Column("of_import", BigInteger, primary_key=True, autoincrement=False),
    *_entry_columns(),
    **_BY_KEY,
)

# What an import replaced or took off, to be undone.
LIST_BEFORE = Table(
    "list_before",
    METADATA,
    Column("of_import", BigInteger, primary_key=True, autoincrement=False),
    *_entry_columns(),
    *_origin_columns(),
    **_BY_KEY,
)

LEASE = Table(
    "lease",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    _ms("until_ms"),
)
