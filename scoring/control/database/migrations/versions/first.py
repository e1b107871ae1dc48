"""The first tables, and what keeps the audit append-only.

No release has written them yet: until one has, what `tables.py` says is made here.
"""

from alembic import op
from sqlalchemy import insert

from scoring.control.database.tables import HEADS, METADATA
from scoring.control.domain.audit_chain import GENESIS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_LATER = ("case", "backtest_jobs")  # made by a later migration
_REFUSAL = "the audit is append-only"
_POSTGRESQL = f"""
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$;
CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()
"""


def upgrade() -> None:
    """Make them."""
    connection = op.get_bind()
    ours = [t for t in METADATA.sorted_tables if not t.name.startswith(_LATER)]
    METADATA.create_all(connection, tables=ours)
    connection.execute(
        insert(HEADS).values(
            number=1,
            audit_sequence=0,
            audit_hash=GENESIS,
            outbox_sequence=0,
            list_revision=0,
        )
    )
    if connection.dialect.name == "postgresql":
        op.execute(_POSTGRESQL)
        return
    for kind in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_kept_{kind.lower()} BEFORE {kind} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
        )
