"""The first tables, and what keeps the audit append-only."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from scoring.control.domain.audit_chain import GENESIS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INT = sa.Integer()
_LONG = sa.BigInteger()  # and times: ms since 1970
_TEXT = sa.Text()
_PERSON = sa.String(200)
_VERSION = sa.String(16)
_HASH = sa.String(64)
_LIST = sa.String(64)
_KEY = sa.String(300)
# Compared byte by byte on every engine.
_TOKEN = sa.String(256).with_variant(sa.String(256, collation="C"), "postgresql")

_REFUSAL = "the audit is append-only"
_POSTGRESQL = f"""
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$;
CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()
"""


def upgrade() -> None:
    """Make them."""
    _heads()
    _audit()
    _outbox()
    _people()
    _policies()
    _backtests()
    _proposals()
    _releases()
    _lists()
    _imports()
    _append_only()


def _column(name: str, kind: Any, *, absent: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=absent)


def _counted(name: str = "number", kind: Any = _LONG) -> sa.Column[Any]:
    """A key that the application counts itself."""
    return sa.Column(name, kind, nullable=False, autoincrement=False)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _of(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    named = f"fk_{table}_{column}"
    return sa.ForeignKeyConstraint([column], [f"{other}.number"], name=named)


def _indexed(table: str, *columns: str) -> None:
    for column in columns:
        op.create_index(f"ix_{table}_{column}", table, [column])


def _heads() -> None:
    heads = op.create_table(
        "heads",
        _column("number", _INT),
        _column("audit_sequence", _LONG),
        _column("audit_hash", _HASH),
        _column("outbox_sequence", _LONG),
        _column("list_revision", _LONG),
        sa.CheckConstraint("number = 1", name=op.f("ck_heads_one")),
        _key("heads", "number"),
    )
    first = {"number": 1, "audit_sequence": 0, "audit_hash": GENESIS}
    op.bulk_insert(heads, [first | {"outbox_sequence": 0, "list_revision": 0}])


def _audit() -> None:
    op.create_table(
        "audit",
        _counted("sequence"),
        _column("at_ms", _LONG),
        _column("person", _PERSON),
        _column("origin", _TEXT),
        _column("action", sa.String(64)),
        _column("subject", _KEY),
        *(_column(name, _TEXT) for name in ("before", "after", "why")),
        _column("previous_hash", _HASH),
        _column("hash", _HASH),
        _key("audit", "sequence"),
    )
    _indexed("audit", "action", "subject")


def _outbox() -> None:
    op.create_table(
        "outbox",
        _counted("sequence"),
        _column("key", _KEY),
        _column("value", sa.LargeBinary(), absent=True),
        _column("published_at_ms", _LONG, absent=True),
        _key("outbox", "sequence"),
    )
    _indexed("outbox", "key")
    new = sa.text("published_at_ms IS NULL")
    op.create_index(
        "ix_outbox_new",
        "outbox",
        ["sequence"],
        sqlite_where=new,
        postgresql_where=new,
    )


def _people() -> None:
    op.create_table(
        "people_tokens",
        _column("token_sha256", _HASH),
        _column("name", _PERSON),
        _column("roles", _TEXT),
        _column("by", _PERSON),
        _column("created_at_ms", _LONG),
        _column("revoked_at_ms", _LONG, absent=True),
        _key("people_tokens", "token_sha256"),
    )


def _policies() -> None:
    op.create_table(
        "policies",
        _counted(),
        _column("version", _VERSION),
        _column("name", sa.String(100)),
        _column("text", _TEXT),
        _column("reasons", _TEXT, absent=True),
        _column("lists", _TEXT),
        _column("state", sa.String(16)),
        _column("revision", _INT),
        _column("authors", _TEXT),
        _column("based_on", _LONG, absent=True),
        _column("before", _LONG, absent=True),
        _column("was_in_force", sa.Boolean()),
        _column("why", _TEXT),
        _column("created_at_ms", _LONG),
        _key("policies", "number"),
        _of("policies", "based_on", "policies"),
        _of("policies", "before", "policies"),
    )
    _indexed("policies", "version", "state", "based_on", "before")
    op.create_table(
        "policy_revisions",
        _counted("policy"),
        _counted("revision", _INT),
        _column("text", _TEXT),
        _column("by", _PERSON),
        _column("at_ms", _LONG),
        _key("policy_revisions", "policy", "revision"),
        _of("policy_revisions", "policy", "policies"),
    )


def _backtests() -> None:
    op.create_table(
        "backtests",
        _counted(),
        _column("version", _VERSION),
        _column("against", _VERSION),
        _column("accepted_count", _LONG),
        _column("accepted_amount_minor", _LONG),
        _column("declined_count", _LONG),
        _column("declined_amount_minor", _LONG),
        _column("figures", _TEXT),
        _column("brought", sa.Boolean()),
        _column("by", _PERSON),
        _column("at_ms", _LONG),
        _key("backtests", "number"),
    )
    _indexed("backtests", "version")


def _proposals() -> None:
    op.create_table(
        "proposals",
        _counted(),
        _column("policy", _LONG),
        _column("version", _VERSION),
        _column("act", sa.String(16)),
        _column("share", sa.Float(), absent=True),
        _column("backtest", _LONG, absent=True),
        _column("by", _PERSON),
        _column("at_ms", _LONG),
        _column("why", _TEXT),
        _column("stage", sa.String(16)),
        _column("decided_by", _PERSON),
        _column("decided_at_ms", _LONG, absent=True),
        _column("reason", _TEXT),
        _column("lapses_at_ms", _LONG, absent=True),
        _column("used_by", _LONG, absent=True),
        _key("proposals", "number"),
        _of("proposals", "policy", "policies"),
        _of("proposals", "backtest", "backtests"),
        sa.UniqueConstraint("used_by", name="uq_proposals_used_by"),
    )
    _indexed("proposals", "policy", "backtest", "stage")


def _releases() -> None:
    op.create_table(
        "releases",
        _counted(),
        _column("policy", _LONG),
        _column("candidate", _LONG, absent=True),
        _column("share", sa.Float(), absent=True),
        _column("shadows", _TEXT),
        _column("rearmed", _TEXT),
        _column("version", _VERSION),
        _column("by", _PERSON),
        _column("why", _TEXT),
        _column("at_ms", _LONG),
        _column("audit_sequence", _LONG),
        _column("audit_hash", _HASH),
        _key("releases", "number"),
        _of("releases", "policy", "policies"),
        _of("releases", "candidate", "policies"),
    )
    _indexed("releases", "policy", "candidate")
    op.create_table(
        "lease",
        _column("name", sa.String(64)),
        _column("holder", sa.String(200)),
        _column("epoch", _LONG),
        _column("until_ms", _LONG),
        _key("lease", "name"),
    )


def _lists() -> None:
    op.create_table(
        "lists",
        _column("name", _LIST),
        _column("kind", sa.String(16)),
        _column("field", _KEY),
        _column("about", _TEXT),
        _column("revision", _LONG),
        _column("count", _LONG),
        _column("chunks", _TEXT),
        _column("changed", _INT),
        _column("by", _PERSON),
        _column("created_at_ms", _LONG),
        _key("lists", "name"),
    )
    op.create_table(
        "list_changes",
        _column("list", _LIST),
        _counted("revision"),
        _column("what", _TEXT),
        _column("by", _PERSON),
        _column("at_ms", _LONG),
        _column("sent", sa.Boolean()),
        _key("list_changes", "list", "revision"),
    )
    of_list = _column("list", _LIST)
    _by_key("list_entries", of_list, *_entry(), *_origin(), key="list")


def _imports() -> None:
    counts = ("added", "changed", "removed", "unchanged", "repeated")
    op.create_table(
        "list_imports",
        _counted(),
        _column("list", _LIST),
        _column("state", sa.String(16)),
        _column("replaces", sa.Boolean()),
        _column("revision", _LONG),
        _column("source", sa.String(100)),
        *(_column(count, _LONG) for count in counts),
        _column("by", _PERSON),
        _column("at_ms", _LONG),
        _column("undone_at_ms", _LONG, absent=True),
        _key("list_imports", "number"),
    )
    _indexed("list_imports", "list")
    number = "of_import"
    _by_key("list_staged", _counted(number), *_entry(), key=number)
    _by_key("list_before", _counted(number), *_entry(), *_origin(), key=number)


def _entry() -> tuple[sa.Column[Any], ...]:
    return (
        _column("token", _TOKEN),
        _column("hash", _LONG),
        _column("until_ms", _LONG),
        _column("reason", _TEXT),
    )


def _origin() -> tuple[sa.Column[Any], ...]:
    return (
        _column("author", _PERSON),
        _column("source", sa.String(100)),
        _column("added_at_ms", _LONG),
        _column("import_number", _LONG, absent=True),
    )


def _by_key(table: str, *columns: sa.Column[Any], key: str) -> None:
    """A table that SQLite keeps in one tree, by its key, and not in two."""
    whole = _key(table, key, "token")
    op.create_table(table, *columns, whole, sqlite_with_rowid=False)


def _append_only() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_POSTGRESQL)
        return
    for kind in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_kept_{kind.lower()} BEFORE {kind} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )
