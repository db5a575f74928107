"""What a service remembers: occurrences, approvals, machines, posts, alerts and feeds."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add columns and tables of the scheduled service."""
    op.add_column("issues", _text("kind", "issue"))
    op.add_column("issues", _time("extended_at", optional=True))
    op.create_index("ix_subscriptions_list_changed_at", "subscriptions", ["list", "changed_at"])
    _instances()
    _approvals()
    _occurrences()
    _crossposts()
    _alerts_and_feeds()


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=default)


def _time(name: str, *, optional: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=optional)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def _instances() -> None:
    op.create_table(
        "instances",
        _text("machine"),
        _text("mark"),
        _time("adopted_at"),
        _time("seen_at"),
        sa.PrimaryKeyConstraint("machine", name="pk_instances"),
    )


def _approvals() -> None:
    op.create_table(
        "proofs",
        _text("issue"),
        _text("rendering"),
        _time("sent_at"),
        sa.PrimaryKeyConstraint("issue", "rendering", name="pk_proofs"),
    )
    op.create_table(
        "approvals",
        _text("issue"),
        _text("rendering"),
        _text("source"),
        _time("approved_at"),
        sa.PrimaryKeyConstraint("issue", name="pk_approvals"),
    )


def _occurrences() -> None:
    op.create_table(
        "occurrences",
        _text("slot"),
        _text("date"),
        _time("due_at"),
        _text("state"),
        _text("issue", ""),
        _text("reason", ""),
        _number("bound"),
        _time("announced_at", optional=True),
        _text("owner", ""),
        sa.Column("lease_until", sa.BigInteger(), nullable=False, server_default="0"),
        _number("fence"),
        _time("changed_at"),
        sa.PrimaryKeyConstraint("slot", "date", name="pk_occurrences"),
    )
    op.create_index("ix_occurrences_state_due_at", "occurrences", ["state", "due_at"])


def _crossposts() -> None:
    op.create_table(
        "crossposts",
        sa.Column("id", ROW_ID, primary_key=True),
        *(_text(name) for name in ("issue", "item", "channel")),
        sa.Column("part", sa.Integer(), nullable=False),
        *(_text(name) for name in ("state", "text", "url", "key")),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        *(_text(name, "") for name in ("remote_id", "remote_url", "reason")),
        _number("attempts"),
        _time("attempted_at", optional=True),
        _time("not_before", optional=True),
        _time("made_at"),
        _time("changed_at"),
        sa.PrimaryKeyConstraint("id", name="pk_crossposts"),
        sa.UniqueConstraint(
            "issue", "item", "channel", "part", name="uq_crossposts_issue_item_channel_part"
        ),
    )
    op.create_table(
        "channel_tokens",
        _text("channel"),
        sa.Column("tokens", sa.JSON(), nullable=False),
        _time("changed_at"),
        sa.PrimaryKeyConstraint("channel", name="pk_channel_tokens"),
    )


def _alerts_and_feeds() -> None:
    op.create_table(
        "alerts",
        _text("key"),
        _time("said_at"),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_alerts"),
    )
    op.create_table(
        "feeds",
        _text("address"),
        _text("etag", ""),
        _text("modified", ""),
        _time("checked_at"),
        _number("failures"),
        _time("not_before", optional=True),
        _text("reason", ""),
        sa.PrimaryKeyConstraint("address", name="pk_feeds"),
    )
    op.create_table(
        "collected",
        _text("key"),
        _text("source"),
        _time("at"),
        sa.PrimaryKeyConstraint("key", name="pk_collected"),
    )
