"""The table of newsletter.toml about what comes back: when an address is given up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from newsletter_bot.settings.tables import Duration, Table


class FeedbackTable(Table):
    """[feedback]: what follows from bounces, and how long what came in is kept."""

    hard: Literal["suppress", "twice"] = "suppress"
    hard_window: Duration = "8d"
    soft_issues: Annotated[int, Field(ge=1, le=100)] = 5
    soft_window: Duration = "90d"
    keep_raw: Duration = "30d"
