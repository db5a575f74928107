"""What comes back: events, links, a provider's chunks, mailboxes, tests of subjects."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add columns and tables of feedback."""
    op.add_column("deliveries", sa.Column("variant", sa.Integer(), nullable=True))
    op.add_column(
        "issues", sa.Column("subject_test", sa.JSON(), nullable=False, server_default="{}")
    )
    drawn = sa.text("variant IS NOT NULL")
    op.create_index(
        "ix_deliveries_drawn",
        "deliveries",
        ["issue_id", "state", "id"],
        sqlite_where=drawn,
        postgresql_where=drawn,
    )
    _raw_events()
    _events()
    _links()
    _chunks()
    _mailbox_cursors()


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=default)


def _time(name: str, *, optional: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=optional)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _id(name: str = "id", *, optional: bool = False) -> sa.Column[int]:
    return sa.Column(name, ROW_ID, nullable=optional)


def _key(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("id", name=f"pk_{table}")


def _of(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}")


def _raw_events() -> None:
    op.create_table(
        "raw_events",
        _id(),
        _text("source"),
        _text("key"),
        _bytes("body"),
        _text("state"),
        _text("reason", ""),
        _time("received_at"),
        _key("raw_events"),
        sa.UniqueConstraint("source", "key", name="uq_raw_events_source_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_raw_events_state_id", "raw_events", ["state", "id"])
    op.create_index("ix_raw_events_received_at", "raw_events", ["received_at"])


def _events() -> None:
    op.create_table(
        "events",
        _id(),
        _text("source"),
        _text("key"),
        _text("kind"),
        _id("issue_id", optional=True),
        _id("delivery_id", optional=True),
        _id("subscriber_id", optional=True),
        _time("raw_id", optional=True),
        _time("at"),
        _time("received_at"),
        _text("class", ""),
        _text("status", ""),
        _text("reason", ""),
        _time("link", optional=True),
        _text("actor", ""),
        _text("why", ""),
        _text("prefix", ""),
        _text("agent", ""),
        _text("consequence", ""),
        _key("events"),
        sa.UniqueConstraint("source", "key", name="uq_events_source_key"),
        _of("events", "issue_id", "issues"),
        _of("events", "delivery_id", "deliveries"),
        _of("events", "subscriber_id", "subscribers"),
        sqlite_autoincrement=True,
    )
    counted = ["issue_id", "kind", "actor", "link", "delivery_id"]
    op.create_index("ix_events_counted", "events", counted)
    op.create_index("ix_events_received_at", "events", ["received_at"])
    _partial_index("ix_events_unjudged", sa.text("actor = '' AND kind IN ('clicked', 'opened')"))
    _partial_index("ix_events_visitors", sa.text("(prefix <> '' OR agent <> '')"))
    op.create_index("ix_events_delivery_id", "events", ["delivery_id"])
    op.create_index("ix_events_subscriber_id", "events", ["subscriber_id"])


def _partial_index(name: str, where: sa.TextClause) -> None:
    op.create_index(name, "events", ["received_at"], sqlite_where=where, postgresql_where=where)


def _links() -> None:
    op.create_table(
        "links",
        _id("issue_id"),
        _time("number"),
        _text("url"),
        _text("item"),
        _text("title"),
        sa.PrimaryKeyConstraint("issue_id", "number", name="pk_links"),
        _of("links", "issue_id", "issues"),
    )


def _chunks() -> None:
    op.create_table(
        "chunks",
        _id(),
        _text("relay"),
        _id("issue_id"),
        _text("key"),
        sa.Column("deliveries", sa.JSON(), nullable=False),
        _bytes("payload"),
        _time("frozen_at"),
        _time("ended_at", optional=True),
        _key("chunks"),
        sa.UniqueConstraint("key", name="uq_chunks_key"),
        _of("chunks", "issue_id", "issues"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chunks_issue_id_ended_at", "chunks", ["issue_id", "ended_at"])


def _mailbox_cursors() -> None:
    op.create_table(
        "mailbox_cursors",
        _text("mailbox"),
        _text("validity"),
        _text("position"),
        _time("checked_at"),
        sa.Column("failures", sa.BigInteger(), nullable=False, server_default="0"),
        _text("reason", ""),
        sa.PrimaryKeyConstraint("mailbox", name="pk_mailbox_cursors"),
    )
