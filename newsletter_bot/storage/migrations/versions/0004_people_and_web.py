"""Sign-up, preferences, letters to one person, limits, the API's keys, webhooks that go out."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add columns and tables of people and the web."""
    op.add_column("subscribers", sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("subscribers", _text("frequency", "every"))
    op.add_column("subscribers", _time("paused_until", optional=True))
    op.add_column("subscribers", _time("erased_at", optional=True))
    op.add_column("issues", sa.Column("selection", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("issues", _time("told_at", optional=True))
    op.execute("UPDATE issues SET told_at = finished_at")
    op.create_index(
        "ix_suppressions_added_at_suppression_key", "suppressions", ["added_at", "suppression_key"]
    )
    _subscription_changes()
    _signups()
    _letters()
    _address_changes()
    _limits()
    _api()
    _hooks()


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=default)


def _time(name: str, *, optional: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=optional)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=False)


def _id(name: str = "id", *, optional: bool = False) -> sa.Column[int]:
    return sa.Column(name, ROW_ID, nullable=optional)


def _key(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("id", name=f"pk_{table}")


def _person(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["subscriber_id"], ["subscribers.id"], name=f"fk_{table}_subscriber_id"
    )


def _subscription_changes() -> None:
    op.create_table(
        "subscription_changes",
        _id(),
        _id("subscriber_id"),
        _text("list"),
        _text("state"),
        _text("by"),
        _time("at"),
        _key("subscription_changes"),
        _person("subscription_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_subscription_changes_subscriber_id", "subscription_changes", ["subscriber_id"]
    )
    op.create_index("ix_subscription_changes_list_at", "subscription_changes", ["list", "at"])


def _signups() -> None:
    op.create_table(
        "signups",
        _id(),
        _text("address"),
        _text("address_key"),
        _text("name"),
        _text("language"),
        _json("lists"),
        _json("consent"),
        _text("state"),
        _text("reason", ""),
        _time("asked_at"),
        _time("expires_at"),
        _time("confirmed_at", optional=True),
        _key("signups"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_signups_address_key", "signups", ["address_key"])
    op.create_index("ix_signups_state_id", "signups", ["state", "id"])
    op.create_index("ix_signups_asked_at", "signups", ["asked_at"])


def _letters() -> None:
    op.create_table(
        "letters",
        _id(),
        _text("kind"),
        _text("address"),
        _text("address_key", ""),
        _text("language"),
        _json("about"),
        _text("state"),
        _number("attempts"),
        _time("attempted_at", optional=True),
        _time("not_before", optional=True),
        _text("reason", ""),
        _id("subscriber_id", optional=True),
        _time("made_at"),
        _time("changed_at"),
        _key("letters"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_letters_state_id", "letters", ["state", "id"])
    op.create_index("ix_letters_subscriber_id", "letters", ["subscriber_id"])
    op.create_index("ix_letters_address_key", "letters", ["address_key"])


def _address_changes() -> None:
    op.create_table(
        "address_changes",
        _id(),
        _id("subscriber_id"),
        _text("address"),
        _text("address_key"),
        _time("asked_at"),
        _time("expires_at"),
        _time("old_agreed_at", optional=True),
        _time("new_agreed_at", optional=True),
        _time("done_at", optional=True),
        _key("address_changes"),
        _person("address_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_address_changes_subscriber_id", "address_changes", ["subscriber_id"])
    op.create_index("ix_address_changes_address_key", "address_changes", ["address_key"])


def _limits() -> None:
    op.create_table(
        "limits",
        _text("name"),
        _text("key"),
        sa.Column("count", sa.Integer(), nullable=False),
        _time("ends_at"),
        sa.PrimaryKeyConstraint("name", "key", name="pk_limits"),
    )
    op.create_index("ix_limits_ends_at", "limits", ["ends_at"])
    op.create_table(
        "challenges",
        _text("key"),
        _time("expires_at"),
        sa.PrimaryKeyConstraint("key", name="pk_challenges"),
    )
    op.create_index("ix_challenges_expires_at", "challenges", ["expires_at"])


def _api() -> None:
    op.create_table(
        "api_keys",
        _id(),
        _text("name"),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        _json("scopes"),
        _time("made_at"),
        _time("expires_at", optional=True),
        _time("used_at", optional=True),
        _time("revoked_at", optional=True),
        _key("api_keys"),
        sa.UniqueConstraint("name", name="uq_api_keys_name"),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "idempotency",
        _id("api_key_id"),
        _text("key"),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        _text("response", ""),
        _time("at"),
        sa.PrimaryKeyConstraint("api_key_id", "key", name="pk_idempotency"),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], name="fk_idempotency_api_key_id"),
    )
    op.create_index("ix_idempotency_at", "idempotency", ["at"])


def _hooks() -> None:
    op.create_table(
        "hook_events",
        _id(),
        _text("uid"),
        _text("type"),
        _json("data"),
        _id("subscriber_id", optional=True),
        _time("at"),
        _time("spread_at", optional=True),
        _key("hook_events"),
        sa.UniqueConstraint("uid", name="uq_hook_events_uid"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hook_events_subscriber_id", "hook_events", ["subscriber_id"])
    op.create_index("ix_hook_events_at", "hook_events", ["at"])
    op.create_index("ix_hook_events_spread_at", "hook_events", ["spread_at"])
    op.create_table(
        "hook_endpoints",
        _text("name"),
        _time("off_at", optional=True),
        sa.Column("rests_until", sa.BigInteger(), nullable=False, server_default="0"),
        _text("reason", ""),
        sa.PrimaryKeyConstraint("name", name="pk_hook_endpoints"),
    )
    _hook_deliveries()


def _hook_deliveries() -> None:
    op.create_table(
        "hook_deliveries",
        _id("event_id"),
        _text("endpoint"),
        _text("state"),
        _number("attempts"),
        _time("not_before"),
        sa.Column("status", sa.Integer(), nullable=True),
        _text("reason", ""),
        _time("changed_at"),
        sa.PrimaryKeyConstraint("event_id", "endpoint", name="pk_hook_deliveries"),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["hook_events.id"],
            name="fk_hook_deliveries_event_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_hook_deliveries_owed",
        "hook_deliveries",
        ["endpoint", "state", "not_before", "event_id"],
    )
