"""Telegram: a message by a bot, in a channel or group, as plain text."""

from __future__ import annotations

from dataclasses import dataclass

from newsletter_bot.crosspost.calls import ChannelDownError, Service
from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Key, Means, Single
from newsletter_bot.settings.tables import OneLine, WebAddress

description = "A message by your bot in a Telegram channel or group."
idempotency = "None: a message whose reply was lost is unknown."
price = "free"
story = False
card = False

_LIMIT = 4096  # UTF-16 units (core.telegram.org/bots/api#sendmessage, 2026-11)
_BOT = "Ask @BotFather for the bot's token, and let the bot post in the chat."


class Options(ChannelTable):
    """[channels.telegram]; `chat` is @name or a number."""

    posts: Single = "issue"
    chat: OneLine
    token: Key = None
    token_file: str | None = None
    server: WebAddress = "https://api.telegram.org"


def open_channel(options: Options, means: Means) -> Telegram:
    """Use a bot by its token."""
    return Telegram(options, means, Service("Telegram", options.timeout, means.clock))


@dataclass
class Telegram:
    """One chat."""

    options: Options
    means: Means
    service: Service
    limit: int = _LIMIT
    safe_for: float = 0.0
    spacing: float = 1.1  # about one message a second is allowed in a chat
    cap: float | None = None

    def weigh(self, text: str) -> int:
        """Count UTF-16 units."""
        return len(text.encode("utf-16-le")) // 2

    def cost(self, text: str) -> float:
        """Nothing."""
        del text
        return 0.0

    def post(self, post: Post) -> Receipt:
        """Send the message; without a parse mode no character means anything."""
        token = self.means.secret(self.options, "token")
        answer = self.service.create(
            "POST",
            f"{self.options.server}/bot{token}/sendMessage",
            json={"chat_id": self.options.chat, "text": post.text},
        )
        if answer.status in (403, 404):
            raise ChannelDownError(f"Telegram answered {answer.status}: {answer.words}", _BOT)
        wait = answer.find("parameters", "retry_after")
        self.service.check(answer, _BOT, float(wait) if wait.isdecimal() else None)
        number = self.service.need(answer, "result", "message_id")
        name = answer.find("result", "chat", "username")
        return Receipt(number, f"https://t.me/{name}/{number}" if name else "")
