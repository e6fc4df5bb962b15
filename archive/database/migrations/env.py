"""Alembic's entry: run the migrations on the connection that `archive.database.engine.migrate` hands over."""

from alembic import context

from archive.database import (  # noqa: F401 - tables register themselves in the metadata
    access_tables,
    completeness_tables,
    copy_tables,
    import_tables,
    index_tables,
    job_tables,
    journey_tables,
)
from archive.database.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
