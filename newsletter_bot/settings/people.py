"""The tables of newsletter.toml about people: sign-up, the API, webhooks that go out."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from newsletter_bot.settings.tables import Duration, OneLine, Rate, Table, WebAddress


class HookType(StrEnum):
    """What an endpoint may be told."""

    SUBSCRIBED = "subscriber.subscribed"  # asked, and not confirmed yet
    CONFIRMED = "subscriber.confirmed"
    UNSUBSCRIBED = "subscriber.unsubscribed"
    BOUNCED = "subscriber.bounced"
    ISSUE_SENT = "issue.sent"


class SignupTable(Table):
    """[signup]: who may ask to be subscribed, how often, and what they must show."""

    open: bool = True
    version: OneLine = "1"
    privacy_url: WebAddress | None = None
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")], ...] = ()
    expires: Duration = "72h"
    keep_unconfirmed: Duration = "7d"
    welcome: bool = True
    fill_time: Duration = "3s"
    per_prefix: Rate = "10/h"
    per_domain: Rate = "300/h"
    overall: Rate = "1000/h"
    proof_of_work: Literal["on", "off"] = "on"
    without_proof: Rate = "30/h"
    pause_at: Annotated[int, Field(ge=10)] = 200
    pause_for: Duration = "6h"
    embed: tuple[WebAddress, ...] = ()


class ApiTable(Table):
    """[api]: the REST API for programs that hold a key."""

    enabled: bool = True
    rate: Rate = "600/m"


class WebhookTable(Table):
    """[[webhooks]]: an endpoint of yours that is told what happens."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    url: WebAddress
    events: tuple[HookType, ...] = tuple(HookType)
    secret_file: str | None = None
    allow_private: bool = False
