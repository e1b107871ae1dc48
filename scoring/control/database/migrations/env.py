"""How Alembic runs a migration: on the connection that it is given, in one piece."""

from alembic import context

from scoring.control.database.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite changes a table by writing it anew
    transaction_per_migration=False,
)
context.run_migrations()
