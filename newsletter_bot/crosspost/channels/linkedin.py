"""LinkedIn: a post by a member or an organisation; the service itself refuses duplicates."""

from __future__ import annotations

import re
from dataclasses import dataclass

from newsletter_bot.crosspost import links
from newsletter_bot.crosspost.calls import Answer, LostError, Service
from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Key, Means, Single
from newsletter_bot.settings.tables import OneLine, WebAddress

description = "A post on LinkedIn, by a member or an organisation."
idempotency = "Posted again within a day: LinkedIn refuses the duplicate and names the first."
price = "free"
story = False
card = False

_LIMIT = 3000
_RESERVED = re.compile(r"[\\|{}@\[\]()<>#*_~]")
_DUPLICATE = re.compile(r"duplicate of (urn:li:(?:share|ugcPost):\d+)")
# How long duplicates are known is not documented; 24 hours were seen (2026-02).
_REMEMBERS = 24 * 3600.0
_UNPROCESSABLE = 422


class Options(ChannelTable):
    """[channels.linkedin]; `author` is urn:li:person:… or urn:li:organization:…."""

    posts: Single = "issue"
    author: OneLine
    token: Key = None
    token_file: str | None = None
    version: OneLine = "202611"
    server: WebAddress = "https://api.linkedin.com"


def open_channel(options: Options, means: Means) -> LinkedIn:
    """Use an access token of the scope w_member_social or w_organization_social."""
    return LinkedIn(options, means, Service("LinkedIn", options.timeout, means.clock))


@dataclass
class LinkedIn:
    """One author."""

    options: Options
    means: Means
    service: Service
    limit: int = _LIMIT
    safe_for: float = _REMEMBERS
    spacing: float = 0.0
    cap: float | None = None

    def weigh(self, text: str) -> int:
        """Count UTF-16 units of what is sent, escapes and all: never less than LinkedIn counts."""
        return len(escaped(text).encode("utf-16-le")) // 2

    def cost(self, text: str) -> float:
        """Nothing."""
        del text
        return 0.0

    def post(self, post: Post) -> Receipt:
        """Create a post (learn.microsoft.com, Posts API, 2026-11)."""
        answer = self.service.create(
            "POST",
            f"{self.options.server}/rest/posts",
            json={
                "author": self.options.author,
                "commentary": escaped(post.text),
                "visibility": "PUBLIC",
                "distribution": {
                    "feedDistribution": "MAIN_FEED",
                    "targetEntities": [],
                    "thirdPartyDistributionChannels": [],
                },
                "lifecycleState": "PUBLISHED",
                "isReshareDisabledByAuthor": False,
            },
            headers={
                "Authorization": f"Bearer {self.means.secret(self.options, 'token')}",
                "LinkedIn-Version": self.options.version,
                "X-Restli-Protocol-Version": "2.0.0",
            },
        )
        if urn := _duplicated(answer):
            return _receipt(urn, "LinkedIn had this post already")
        self.service.check(answer, "Tokens last 60 days: make a new one for your application.")
        urn = answer.headers.get("x-restli-id", "") or answer.find("id")
        if not urn:
            raise LostError("LinkedIn took it without telling the post's URN.")
        return _receipt(urn)


def escaped(text: str) -> str:
    """Escape what the format `little` reserves; an unescaped one cuts the post off silently."""
    return links.outside_links(text, lambda one: _RESERVED.sub(r"\\\g<0>", one))


def _duplicated(answer: Answer) -> str:
    if answer.status != _UNPROCESSABLE or "DUPLICATE_POST" not in answer.text:
        return ""
    found = _DUPLICATE.search(answer.text)
    return found[1] if found else ""


def _receipt(urn: str, note: str = "") -> Receipt:
    return Receipt(urn, f"https://www.linkedin.com/feed/update/{urn}/", note)
