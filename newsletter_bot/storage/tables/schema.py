"""What all tables share: how constraints are named, and the kind of a row's id."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives its fast row ids to INTEGER alone; PostgreSQL should not run out at 2**31.
RowId = BigInteger().with_variant(Integer, "sqlite")
