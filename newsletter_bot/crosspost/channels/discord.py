"""Discord: a message through a webhook, mentioning nobody."""

from __future__ import annotations

import re
from dataclasses import dataclass

from newsletter_bot.crosspost import links
from newsletter_bot.crosspost.calls import ChannelDownError, Service
from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Key, Means, Single

description = "A message in a Discord channel, through its webhook."
idempotency = "None: a message whose reply was lost is unknown."
price = "free"
story = False
card = False

_LIMIT = 2000  # discord.com/developers/docs/resources/webhook, 2026-11
_MARKDOWN = re.compile(r"[\\*_~`|>#\[\]]")
_WEBHOOK = "Make a new webhook under Edit Channel, Integrations, and set its address as url."


class Options(ChannelTable):
    """[channels.discord]; the webhook's address is a secret."""

    posts: Single = "issue"
    url: Key = None
    url_file: str | None = None


def open_channel(options: Options, means: Means) -> Discord:
    """Use a channel's webhook."""
    return Discord(options, means, Service("Discord", options.timeout, means.clock))


@dataclass
class Discord:
    """One webhook."""

    options: Options
    means: Means
    service: Service
    limit: int = _LIMIT
    safe_for: float = 0.0
    spacing: float = 0.5
    cap: float | None = None

    def weigh(self, text: str) -> int:
        """Count UTF-16 units of what is sent: never less than Discord counts."""
        return len(escaped(text).encode("utf-16-le")) // 2

    def cost(self, text: str) -> float:
        """Nothing."""
        del text
        return 0.0

    def post(self, post: Post) -> Receipt:
        """Execute the webhook; only with `wait` does Discord say whether it saved the message."""
        url = self.means.secret(self.options, "url")
        answer = self.service.create(
            "POST",
            f"{url}{'&' if '?' in url else '?'}wait=true",
            json={"content": escaped(post.text), "allowed_mentions": {"parse": []}},
        )
        if answer.status in (403, 404):
            raise ChannelDownError(f"Discord answered {answer.status}: {answer.words}", _WEBHOOK)
        wait = answer.find("retry_after")
        seconds = float(wait) if re.fullmatch(r"\d{1,6}(\.\d+)?", wait) else None
        self.service.check(answer, _WEBHOOK, seconds)
        return Receipt(self.service.need(answer, "id"))


def escaped(text: str) -> str:
    """Escape Markdown, so that a title looks as it was written."""
    return links.outside_links(text, lambda one: _MARKDOWN.sub(r"\\\g<0>", one))
