"""Alembic's entry: run the migrations on the connection that `archive.database.engine.migrate` hands over."""

from alembic import context

from archive.database import all_tables
from archive.database.schema import metadata

assert all_tables.MODULES, "what is to be migrated is known"
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
