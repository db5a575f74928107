"""The tables of newsletter.toml about what runs by itself: web, alerts, collecting, sequences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from newsletter_bot.settings.tables import Duration, OneLine, Table, WebAddress


class WebTable(Table):
    """[web]: where `run` listens; a proxy with TLS stands in front of it."""

    host: OneLine = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    trusted_proxies: tuple[OneLine, ...] = ("127.0.0.1",)


class AlertsTable(Table):
    """[alerts]: whom to tell; addresses of services are secrets, so better in the environment."""

    urls: tuple[SecretStr, ...] = ()
    urls_file: str | None = None
    again: Duration = "6h"


class ServiceTable(Table):
    """[service]: how `run` behaves."""

    tick: Duration = "15s"
    logs: Literal["json", "text"] = "json"
    state_folder: str | None = None
    latest_issue: bool = False


class CollectTable(Table):
    """[collect]: where links come from through the week, and the file they go into."""

    feeds: tuple[WebAddress, ...] = ()
    arxiv: tuple[Annotated[str, Field(pattern=r"^[a-z-]+(\.[A-Za-z-]+)?$")], ...] = ()
    bookmarks: str | None = None
    inbox: str = "inbox.md"
    every: Duration = "6h"
    most: Annotated[int, Field(ge=1, le=1000)] = 50
    allow_private: bool = False
