from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from newsletter_bot.web.api.keys import Scope
from tests.web.api.api_site import ApiSite, settle


@pytest.fixture
def site(newsletter: Path) -> Iterator[ApiSite]:
    """A newsletter and its API, on SQLite."""
    settle(newsletter)
    made = ApiSite(newsletter)
    yield made
    made.close()


@pytest.fixture
def each_site(newsletter: Path, database_url: str) -> Iterator[ApiSite]:
    """The same, on each kind of database in turn."""
    settle(newsletter, database_url)
    made = ApiSite(newsletter)
    yield made
    made.close()


@pytest.fixture
def program(site: ApiSite) -> httpx.Client:
    """A program that may do everything."""
    return site.client(Scope.ALL)
