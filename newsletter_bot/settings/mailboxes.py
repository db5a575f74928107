"""The tables of newsletter.toml about mail that comes back: the mailboxes it is read from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from newsletter_bot.settings.tables import Duration


class MailboxTable(BaseModel):
    """[[mailboxes]]: where bounces and unsubscribe mails arrive; the rest is of its kind."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    kind: str = "imap"
    every: Duration = "5m"
    most: Annotated[int, Field(ge=1, le=10_000)] = 500

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to this kind of mailbox alone."""
        return dict(self.model_extra or {})

    @property
    def place(self) -> str:
        """Where in newsletter.toml this table stands, for messages."""
        return f"mailboxes.{self.name}"
