"""How far an act on many cases is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; what was done before was done with every case at once."""
    for name, kind, before in (
        ("cases", sa.Text(), "[]"),
        ("place", sa.Integer(), "0"),
        ("left", sa.Text(), "[]"),
        ("rose", sa.Boolean(), sa.true()),
    ):
        added = sa.Column(name, kind, nullable=False, server_default=before)
        op.add_column("case_bulks", added)
    op.execute("UPDATE case_bulks SET place = count")
