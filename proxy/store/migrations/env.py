"""Runs the migrations on the connection that ``proxy.store.migrate`` gives."""

from alembic import context

from proxy.store.schema import metadata

# One transaction for all steps, also in SQLite, whose DDL is transactional: a store is
# either as it was or migrated.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
