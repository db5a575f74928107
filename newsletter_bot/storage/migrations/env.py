"""Alembic runs this: it migrates over the connection that `storage.engine` hands it."""

from alembic import context

from newsletter_bot.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
