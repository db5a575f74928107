"""Medium: files to import by hand, or a draft through the API for those who still have a token."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from newsletter_bot.crosspost.calls import RefusedError, Service
from newsletter_bot.crosspost.markdown import markdown_of
from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Key, Means, Whole
from newsletter_bot.settings.tables import WebAddress

description = "The whole issue on Medium: files to import by hand, or a draft through the API."
idempotency = "Files are written again; a draft whose reply was lost is unknown."
price = "free"
story = True
card = False

IMPORT = "https://medium.com/p/import"
_LIMIT = 100  # characters of the title; Medium ignores a longer one
_MOST_TAGS, _LONGEST_TAG = 3, 25  # further ones, and longer ones, are ignored
_TOKEN = 'Medium gives no new tokens since 2025: without one, use mode = "bundle".'  # noqa: S105


class Options(ChannelTable):
    """[channels.medium]."""

    posts: Whole = "issue"
    mode: Literal["bundle", "api"] = "bundle"
    folder: str = "medium"
    token: Key = None
    token_file: str | None = None
    publish: Literal["draft", "public", "unlisted"] = "draft"
    server: WebAddress = "https://api.medium.com"


def open_channel(options: Options, means: Means) -> Medium:
    """Use a folder, or an account by its integration token."""
    return Medium(options, means, Service("Medium", options.timeout, means.clock))


@dataclass
class Medium:
    """One account."""

    options: Options
    means: Means
    service: Service
    limit: int = _LIMIT
    spacing: float = 0.0
    cap: float | None = None

    @property
    def safe_for(self) -> float:
        """Files may be written again at any time; the API makes a second story."""
        return math.inf if self.options.mode == "bundle" else 0.0

    def weigh(self, text: str) -> int:
        """Count the characters of the title."""
        return len(text)

    def cost(self, text: str) -> float:
        """Nothing."""
        del text
        return 0.0

    def post(self, post: Post) -> Receipt:
        """Write the files, or create the story (github.com/Medium/medium-api-docs, 2026-11)."""
        return self._bundle(post) if self.options.mode == "bundle" else self._create(post)

    def _bundle(self, post: Post) -> Receipt:
        folder = self.means.folder / self.options.folder / post.issue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / "medium.html", page(post))
            _write(folder / "medium.md", document(post))
        except OSError as error:
            raise RefusedError(
                f"{folder} cannot be written: {error.strerror}.", "Set channels.medium.folder."
            ) from error
        place = Path(self.options.folder, post.issue, "medium.html")
        note = f"written to {place}: import {post.url} at {IMPORT}, or copy the text from the file"
        return Receipt(str(place), IMPORT, note)

    def _create(self, post: Post) -> Receipt:
        token = self.means.secret(self.options, "token")
        headers = {"Authorization": f"Bearer {token}"}
        server = self.options.server
        me = self.service.check(self.service.ask("GET", f"{server}/v1/me", headers=headers), _TOKEN)
        answer = self.service.create(
            "POST",
            f"{server}/v1/users/{self.service.need(me, 'data', 'id')}/posts",
            headers=headers,
            json={
                "title": post.details.title[:_LIMIT],
                "contentFormat": "html",
                "content": post.text,
                "tags": tags(post),
                "canonicalUrl": post.url,
                "publishStatus": self.options.publish,
                "notifyFollowers": self.options.publish == "public",
            },
        )
        self.service.check(answer, _TOKEN)
        return Receipt(self.service.need(answer, "data", "id"), answer.find("data", "url"))


def tags(post: Post) -> list[str]:
    """Return the tags that Medium uses."""
    return [one for one in post.details.tags if len(one) <= _LONGEST_TAG][:_MOST_TAGS]


def page(post: Post) -> str:
    """Return a page to open in a browser: the way to import, and the article to copy."""
    title, url = escape(post.details.title), escape(post.url)
    wanted = escape(", ".join(tags(post))) or "none"
    return f"""<!DOCTYPE html>
<html lang="{escape(post.details.language)}">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="canonical" href="{url}">
</head>
<body>
<aside>
<p>Import <a href="{url}">{url}</a> at <a href="{IMPORT}">{IMPORT}</a>: Medium then names it as the
original. Or copy the article below into a new story, and set that address under Advanced Settings,
Customize Canonical Link. Tags: {wanted}.</p>
<hr>
</aside>
<article>
{post.text}</article>
</body>
</html>
"""


def document(post: Post) -> str:
    """Return the article as Markdown, with what Medium is to be told in front."""
    told = {"canonical": post.url, "tags": ", ".join(tags(post))}
    lines = "".join(f"{key}: {value}\n" for key, value in told.items())
    return f"---\n{lines}---\n{markdown_of(post.text)}"


def _write(path: Path, text: str) -> None:
    """Replace a file at once, so that nobody reads half of it."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
