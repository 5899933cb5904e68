"""Alembic's entry: migrates inside the transaction that storage/database.py already holds."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
