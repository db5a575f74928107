"""Slack: a message through an incoming webhook."""

from __future__ import annotations

from dataclasses import dataclass

from newsletter_bot.crosspost.calls import ChannelDownError, LostError, Service
from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Key, Means, Single

description = "A message in a Slack channel, through an incoming webhook."
idempotency = "None: a message whose reply was lost is unknown."
price = "free"
story = False
card = False

_LIMIT = 4000  # characters that Slack asks to stay below (docs.slack.dev, 2026-11)
_GONE = frozenset({403, 404, 410})  # invalid_token, no_service, channel_is_archived
_WEBHOOK = "Make a new incoming webhook for your Slack app, and set its address as url."


class Options(ChannelTable):
    """[channels.slack]; the webhook's address is a secret."""

    posts: Single = "issue"
    url: Key = None
    url_file: str | None = None


def open_channel(options: Options, means: Means) -> Slack:
    """Use an incoming webhook."""
    return Slack(options, means, Service("Slack", options.timeout, means.clock))


@dataclass
class Slack:
    """One webhook."""

    options: Options
    means: Means
    service: Service
    limit: int = _LIMIT
    safe_for: float = 0.0
    spacing: float = 1.1  # one message a second is allowed
    cap: float | None = None

    def weigh(self, text: str) -> int:
        """Count the characters that are sent."""
        return len(escaped(text))

    def cost(self, text: str) -> float:
        """Nothing."""
        del text
        return 0.0

    def post(self, post: Post) -> Receipt:
        """Post the message, its formatting switched off; Slack answers `ok` and tells no id."""
        answer = self.service.create(
            "POST",
            self.means.secret(self.options, "url"),
            json={"text": escaped(post.text), "mrkdwn": False},
        )
        if answer.status in _GONE:
            raise ChannelDownError(f"Slack answered {answer.status}: {answer.words}", _WEBHOOK)
        self.service.check(answer, _WEBHOOK)
        if answer.text.strip() != "ok":
            raise LostError(f"Slack answered without `ok`: {answer.words}")
        return Receipt()


def escaped(text: str) -> str:
    """Escape what begins a mention or a link in Slack (docs.slack.dev, 2026-11)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
