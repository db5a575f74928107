"""Bluesky: a record with a key of our own, so that writing it again changes nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from newsletter_bot.crosspost import links
from newsletter_bot.crosspost.calls import Answer, Service
from newsletter_bot.crosspost.fit import graphemes
from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Key, Means, Threaded
from newsletter_bot.settings.tables import OneLine, WebAddress

description = "A post on Bluesky, or on another server of the AT Protocol."
idempotency = "Written again under the same record key: an identical record changes nothing."
price = "free"
story = False
card = True

_LIMIT = 300  # graphemes (app.bsky.feed.post, 2026-11)
_MOST_BYTES = 3000  # of UTF-8, in the same lexicon
_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"  # atproto.com/specs/tid, 2026-11
_POST = "app.bsky.feed.post"
_LOGIN = "Make a new app password under Settings, Privacy and security, App passwords."


class Options(ChannelTable):
    """[channels.bluesky]."""

    posts: Threaded = "issue"
    handle: OneLine
    app_password: Key = None
    app_password_file: str | None = None
    server: WebAddress = "https://bsky.social"
    card: bool = True


def open_channel(options: Options, means: Means) -> Bluesky:
    """Use an account by its handle and an app password."""
    return Bluesky(options, means, Service("Bluesky", options.timeout, means.clock))


@dataclass
class Bluesky:
    """One account; a session is opened for a run."""

    options: Options
    means: Means
    service: Service
    limit: int = _LIMIT
    safe_for: float = math.inf
    spacing: float = 0.0
    cap: float | None = None
    _session: tuple[str, str] | None = field(default=None, repr=False)  # token, DID

    def weigh(self, text: str) -> int:
        """Count graphemes; a text of many bytes weighs as many as its share of 3000."""
        size = len(text.encode())
        return max(len(graphemes(text)), math.ceil(size * _LIMIT / _MOST_BYTES))

    def cost(self, text: str) -> float:
        """Nothing."""
        del text
        return 0.0

    def post(self, post: Post) -> Receipt:
        """Put the record (com.atproto.repo.putRecord, 2026-11)."""
        answer = self._put(post)
        if answer.find("error") in ("ExpiredToken", "InvalidToken"):
            self._session = None
            answer = self._put(post)
        self.service.check(answer, _LOGIN)
        uri, cid = self.service.need(answer, "uri"), self.service.need(answer, "cid")
        url = f"https://bsky.app/profile/{self.options.handle}/post/{record_key(post)}"
        return Receipt(f"{uri} {cid}", url)

    def _put(self, post: Post) -> Answer:
        token, did = self._login()
        return self.service.create(
            "POST",
            f"{self.options.server}/xrpc/com.atproto.repo.putRecord",
            json={
                "repo": did,
                "collection": _POST,
                "rkey": record_key(post),
                "record": record(post, with_card=self.options.card),
            },
            headers={"Authorization": f"Bearer {token}"},
        )

    def _login(self) -> tuple[str, str]:
        """Open a session once for a run: 30 in five minutes are allowed."""
        if self._session is None:
            password = self.means.secret(self.options, "app_password")
            answer = self.service.ask(
                "POST",
                f"{self.options.server}/xrpc/com.atproto.server.createSession",
                json={"identifier": self.options.handle, "password": password},
            )
            self.service.check(answer, _LOGIN)
            token, did = (self.service.need(answer, key) for key in ("accessJwt", "did"))
            self._session = token, did
        return self._session


def record(post: Post, *, with_card: bool) -> dict[str, Any]:
    """Return the record, the same bytes at every attempt."""
    made = datetime.fromtimestamp(post.made_at, UTC)
    found: dict[str, Any] = {
        "$type": _POST,
        "text": post.text,
        "createdAt": made.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "langs": [post.details.language],
    }
    if facets := _facets(post.text):
        found["facets"] = facets
    if with_card and post.url:
        about = {"title": post.details.title, "description": post.details.description}
        found["embed"] = {
            "$type": "app.bsky.embed.external",
            "external": {"uri": post.url, **about},
        }
    if post.replies_to:
        found["reply"] = {"root": _reference(post.thread), "parent": _reference(post.replies_to)}
    return found


def record_key(post: Post) -> str:
    """Return the record's key: a TID of its time, its low bits from the post's own key."""
    seed = int(post.key, 16)
    microseconds = post.made_at * 1_000_000 + (seed >> 10) % 1_000_000
    number = (microseconds << 10) | (seed & 0x3FF)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(60, -1, -5))


def _facets(text: str) -> list[dict[str, Any]]:
    """Mark links, which the service does not find itself; offsets count bytes of UTF-8."""
    return [
        {
            "index": {
                "byteStart": len(text[:begin].encode()),
                "byteEnd": len(text[:end].encode()),
            },
            "features": [{"$type": "app.bsky.richtext.facet#link", "uri": text[begin:end]}],
        }
        for begin, end in links.places(text)
    ]


def _reference(remote_id: str) -> dict[str, str]:
    uri, _, cid = remote_id.partition(" ")
    return {"uri": uri, "cid": cid}
