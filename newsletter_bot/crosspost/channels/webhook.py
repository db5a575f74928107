"""A web address of your own that gets each post as JSON."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from newsletter_bot.crosspost.calls import PutOffError, RefusedError, Service
from newsletter_bot.crosspost.fit import graphemes
from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Key, Means, Single
from newsletter_bot.outside import guarded_client

description = "A JSON document sent to a web address of your own."
idempotency = (
    "It has an Idempotency-Key for you to know it by; one whose reply was lost is unknown."
)
price = "free"
story = False
card = False

_PRIVATE = "Set allow_private = true, if that network is where it should go."


class Options(ChannelTable):
    """[channels.webhook]; `url` may be a secret, so it has a file too."""

    posts: Single = "issue"
    url: Key = None
    url_file: str | None = None
    token: Key = None
    token_file: str | None = None
    secret: Key = None
    secret_file: str | None = None
    most: Annotated[int, Field(ge=20, le=100_000)] = 5000
    allow_private: bool = False


def open_channel(options: Options, means: Means) -> Webhook:
    """Use an address; inside a private network only when that is allowed."""
    client = None if options.allow_private else lambda: guarded_client(options.timeout)
    return Webhook(options, means, Service("The webhook", options.timeout, means.clock, client))


@dataclass
class Webhook:
    """One address."""

    options: Options
    means: Means
    service: Service
    safe_for: float = 0.0
    spacing: float = 0.0
    cap: float | None = None

    @property
    def limit(self) -> int:
        """As many characters as `most` says."""
        return self.options.most

    def weigh(self, text: str) -> int:
        """Count graphemes."""
        return len(graphemes(text))

    def cost(self, text: str) -> float:
        """Nothing."""
        del text
        return 0.0

    def post(self, post: Post) -> Receipt:
        """Send the document; any 2xx means that it was taken."""
        url = self.means.secret(self.options, "url")
        if urlsplit(url).scheme not in ("http", "https"):
            raise RefusedError("channels.webhook.url is no web address.", "Begin it with https://.")
        body = json.dumps(document(post), ensure_ascii=False).encode()
        try:
            answer = self.service.create(
                "POST", url, content=body, headers=self._headers(post, body)
            )
        except PutOffError as error:
            if "private address" in error.reason:
                raise RefusedError(error.reason, _PRIVATE) from error
            raise
        self.service.check(answer, "Set the token that the webhook expects.")
        return Receipt(answer.find("id"), answer.find("url"))

    def _headers(self, post: Post, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": post.key}
        if token := self.means.optional_secret(self.options, "token"):
            headers["Authorization"] = f"Bearer {token}"
        if secret := self.means.optional_secret(self.options, "secret"):
            digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            headers["X-Signature-256"] = f"sha256={digest}"
        return headers


def document(post: Post) -> dict[str, object]:
    """Return what is sent."""
    about = post.details
    return {
        "newsletter": about.newsletter,
        "issue": post.issue,
        "item": post.item,
        "title": about.title,
        "description": about.description,
        "text": post.text,
        "url": post.url,
        "tags": list(about.tags),
        "language": about.language,
    }
