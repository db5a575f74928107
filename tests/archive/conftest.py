"""A newsletter's site, built from issue files; a web server for its folder."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from newsletter_bot.archive.site import Published, SiteReport, build_site
from newsletter_bot.bot import Bot
from newsletter_bot.issues.model import Issue
from newsletter_bot.settings import Settings, load

FIRST = datetime(2026, 1, 4, 8, 0, tzinfo=UTC)


@pytest.fixture
def settings(newsletter: Path) -> Settings:
    """The configuration of the newsletter's folder."""
    return load(newsletter)


@pytest.fixture
def issue(newsletter: Path, write_issue: Callable[..., Path]) -> Callable[..., Issue]:
    """Write an issue file and read it; by default a small correct one."""

    def read(text: str = "", name: str = "2026-W01") -> Issue:
        return Bot.open(newsletter).read(write_issue(text, name))

    return read


@pytest.fixture
def build(settings: Settings, newsletter: Path) -> Callable[..., SiteReport]:
    """Build the site of these issues, each published a week after the one before."""

    def run(*issues: Issue, out: Path | None = None) -> SiteReport:
        pages = [Published(one, FIRST + timedelta(weeks=at)) for at, one in enumerate(issues)]
        return build_site(pages, settings, out or newsletter / "site")

    return run


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Keep the test's output clean."""


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def served() -> Callable[[Path], AbstractContextManager[str]]:
    """Serve a folder on this machine: `with served(folder) as address:`."""
    return _serving
