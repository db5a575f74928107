"""INSERT … ON CONFLICT in the words of the connection's database."""

from __future__ import annotations

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upserting(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Begin an INSERT that may say what to do about a row that is there already."""
    return upserting_in(connection.dialect.name, table)


def upserting_in(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Begin such an INSERT for a statement that is built once."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
