"""The hash of each file that was imported into a list."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; what was read before has none."""
    added = sa.Column("sha256", sa.String(64), nullable=False, server_default="")
    op.add_column("list_imports", added)
