"""Backtests that the control plane runs itself."""

from alembic import op

from scoring.control.database.backtest_tables import BACKTEST_JOBS

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make their table."""
    BACKTEST_JOBS.create(op.get_bind())
