"""Mastodon, and servers that speak its API: a status, idempotent for an hour by its key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from newsletter_bot.crosspost import links
from newsletter_bot.crosspost.calls import ChannelError, Service
from newsletter_bot.crosspost.fit import graphemes
from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Key, Means, Threaded
from newsletter_bot.settings.tables import WebAddress

description = "A status on a Mastodon server."
idempotency = "Posted again with the same Idempotency-Key within 55 minutes; later it is unknown."
price = "free"
story = False
card = False

_LIMIT = 500  # https://docs.joinmastodon.org/entities/Instance/, 2026-11
_LINK = 23  # characters that a server counts for a link, whatever its length
_PATIENCE = 5.0  # seconds for a question that has a usual answer
# The key is stored for up to an hour (docs.joinmastodon.org/methods/statuses, 2026-11).
_KEY_LASTS = 55 * 60.0


class Options(ChannelTable):
    """[channels.mastodon]."""

    posts: Threaded = "issue"
    server: WebAddress
    token: Key = None
    token_file: str | None = None
    visibility: Literal["public", "unlisted", "private", "direct"] = "public"
    most: int | None = None


def open_channel(options: Options, means: Means) -> Mastodon:
    """Use an account of `server` by its access token (scope write:statuses)."""
    return Mastodon(options, means, Service("Mastodon", options.timeout, means.clock))


@dataclass
class Mastodon:
    """One account."""

    options: Options
    means: Means
    service: Service
    safe_for: float = _KEY_LASTS
    spacing: float = 0.0
    cap: float | None = None
    _rules: tuple[int, int] | None = field(default=None, repr=False)

    @property
    def limit(self) -> int:
        """`most`, else what the server says of itself, else 500."""
        return self.options.most or self._asked()[0]

    def weigh(self, text: str) -> int:
        """Count graphemes; a link counts as what the server reserves for one."""
        reserved = self._asked()[1] if self.options.most is None else _LINK
        return len(graphemes(links.replaced(text, "x" * reserved)))

    def cost(self, text: str) -> float:
        """Nothing."""
        del text
        return 0.0

    def post(self, post: Post) -> Receipt:
        """Create a status (docs.joinmastodon.org/methods/statuses, 2026-11)."""
        token = self.means.secret(self.options, "token")
        status = {
            "status": post.text,
            "visibility": self.options.visibility,
            "language": post.details.language.partition("-")[0].lower(),
        }
        if post.replies_to:
            status["in_reply_to_id"] = post.replies_to
        answer = self.service.create(
            "POST",
            f"{self.options.server}/api/v1/statuses",
            json=status,
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": post.key},
        )
        self.service.check(answer, "Make a new token under Preferences, Development.")
        return Receipt(self.service.need(answer, "id"), answer.find("url"))

    def _asked(self) -> tuple[int, int]:
        if self._rules is None:
            self._rules = self._ask()
        return self._rules

    def _ask(self) -> tuple[int, int]:
        service = Service("Mastodon", min(_PATIENCE, self.options.timeout), self.means.clock)
        try:
            answer = service.ask("GET", f"{self.options.server}/api/v2/instance")
        except ChannelError:
            return _LIMIT, _LINK
        place = "configuration", "statuses"
        found = (
            answer.find(*place, "max_characters"),
            answer.find(*place, "characters_reserved_per_url"),
        )
        if not answer.ok or not all(one.isdecimal() and 0 < int(one) < 10**6 for one in found):
            return _LIMIT, _LINK
        return int(found[0]), int(found[1])
