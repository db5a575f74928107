"""X: posts that cost money, in the context of a user (OAuth 1.0a, or OAuth 2 with PKCE)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from html import unescape
from typing import Annotated, Any, Literal

from pydantic import Field
from twitter_text import extract_urls, parse_tweet

from newsletter_bot.crosspost.calls import (
    Answer,
    ChannelDownError,
    ChannelError,
    RefusedError,
    Service,
)
from newsletter_bot.crosspost.channels.x import oauth2
from newsletter_bot.crosspost.channels.x.oauth1 import Keys, authorization
from newsletter_bot.crosspost.model import Post, Receipt
from newsletter_bot.crosspost.options import ChannelTable, Key, Means, Threaded
from newsletter_bot.settings.tables import OneLine, WebAddress

description = "A post on X."
idempotency = "Looked for among our own latest posts; X refuses a duplicate (403), so none is made."
price = "$0.015 a post, $0.200 with a link (2026-02)"
story = False
card = False

_LIMIT = 280  # weighted: twitter-text configuration v3
_PRICE, _PRICE_WITH_LINK = 0.015, 0.2  # US dollars, pay per use since 2026-02-06
_REMEMBERS = 24 * 3600.0  # how long X refuses duplicates is not documented
_LATEST = 10  # own posts that are read back, $0.001 each
_REVOKED, _PAY, _FORBIDDEN = 401, 402, 403
_KEYS = (
    "Make new keys under Keys and tokens of your app, or run `newsletter-bot channels connect x`."
)
_CREDITS = "Buy credits in X's developer console, then run `crosspost ISSUE --retry`."


class Options(ChannelTable):
    """[channels.x]: four keys of OAuth 1.0a, or a client id and `channels connect x`."""

    posts: Threaded = "issue"
    link: Literal["none", "first", "all"] = "first"
    monthly_cap_usd: Annotated[float, Field(ge=0)] | None = None
    api_key: Key = None
    api_key_file: str | None = None
    api_secret: Key = None
    api_secret_file: str | None = None
    access_token: Key = None
    access_token_file: str | None = None
    access_secret: Key = None
    access_secret_file: str | None = None
    client_id: OneLine | None = None
    client_secret: Key = None
    client_secret_file: str | None = None
    redirect_uri: WebAddress = "http://127.0.0.1/callback"
    server: WebAddress = "https://api.x.com"
    authorize_url: WebAddress = "https://x.com/i/oauth2/authorize"


def open_channel(options: Options, means: Means) -> X:
    """Use an account by the keys of an app that may write."""
    return X(options, means, Service("X", options.timeout, means.clock))


def connection(options: Options, means: Means) -> oauth2.Connection:
    """Return the way to let this app use an account, for `channels connect x`."""
    return _connection(options, means, Service("X", options.timeout, means.clock))


@dataclass
class X:
    """One account."""

    options: Options
    means: Means
    service: Service
    limit: int = _LIMIT
    safe_for: float = _REMEMBERS
    spacing: float = 0.0
    _me: str = field(default="", repr=False)

    @property
    def cap(self) -> float | None:
        """What may be spent in a month."""
        return self.options.monthly_cap_usd

    def weigh(self, text: str) -> int:
        """Measure as X does: CJK counts twice, a link 23; bare names like node.js are links."""
        return int(parse_tweet(text).weightedLength)

    def cost(self, text: str) -> float:
        """Return the price of a post, which depends on whether X sees a link in it."""
        return _PRICE_WITH_LINK if extract_urls(text) else _PRICE

    def post(self, post: Post) -> Receipt:
        """Create a post (docs.x.com, POST /2/tweets, 2026-11)."""
        if post.again and (found := self._find(post)):
            return found
        body: dict[str, Any] = {"text": post.text}
        if post.replies_to:
            body["reply"] = {"in_reply_to_tweet_id": post.replies_to}
        answer = self._call("POST", f"{self.options.server}/2/tweets", json=body)
        if answer.status == _FORBIDDEN and "duplicate content" in answer.text:
            return self._duplicate(post)
        self._check(answer)
        return _receipt(self.service.need(answer, "data", "id"))

    def _duplicate(self, post: Post) -> Receipt:
        if not post.again:
            raise RefusedError(
                "X has a post with this very text already.",
                "Change the text, if it should be posted again.",
            )
        return self._find(post) or Receipt(note="posted by an attempt whose reply was lost")

    def _find(self, post: Post) -> Receipt | None:
        """Look for the post among our own latest; None also when X does not let us look."""
        try:
            server = self.options.server
            if not self._me:
                me = self._call("GET", f"{server}/2/users/me")
                self._check(me)
                self._me = self.service.need(me, "data", "id")
            query = f"max_results={_LATEST}&tweet.fields=created_at,entities"
            answer = self._call("GET", f"{server}/2/users/{self._me}/tweets?{query}")
            self._check(answer)
        except ChannelDownError:
            raise
        except ChannelError:
            return None
        latest = answer.json.get("data")
        for one in latest if isinstance(latest, list) else []:
            if isinstance(one, dict) and _plain(post.text) == _plain(_expanded(one)):
                return _receipt(str(one.get("id", "")), "found among our own posts")
        return None

    def _check(self, answer: Answer) -> None:
        if answer.status == _PAY or "usage-capped" in answer.find("type"):
            raise ChannelDownError(f"X takes no more posts for now: {answer.words}", _CREDITS)
        self.service.check(answer, _KEYS, self._until_reset(answer))

    def _until_reset(self, answer: Answer) -> float | None:
        reset = answer.headers.get("x-rate-limit-reset", "")
        if "retry-after" in answer.headers or not re.fullmatch(r"\d{1,12}", reset):
            return self.service.wait(answer)
        return min(max(1.0, int(reset) - self.means.clock()), 86_400.0)

    def _call(self, method: str, url: str, **request: Any) -> Answer:
        ask = self.service.create if method == "POST" else self.service.ask
        if self.options.client_id is not None:
            way = _connection(self.options, self.means, self.service)
            answer = ask(method, url, headers=_bearer(way.token()), **request)
            if answer.status == _REVOKED:
                answer = ask(method, url, headers=_bearer(way.token(stale=True)), **request)
            return answer
        keys = Keys(*(self.means.secret(self.options, name) for name in _OAUTH1))
        headers = {"Authorization": authorization(method, url, keys, self.means.clock())}
        return ask(method, url, headers=headers, **request)


_OAUTH1 = ("api_key", "api_secret", "access_token", "access_secret")


def _connection(options: Options, means: Means, service: Service) -> oauth2.Connection:
    return oauth2.Connection(
        service=service,
        tokens=means.tokens,
        clock=means.clock,
        client_id=options.client_id or "",
        client_secret=means.optional_secret(options, "client_secret"),
        redirect_uri=options.redirect_uri,
        authorize_url=options.authorize_url,
        token_url=f"{options.server}/2/oauth2/token",
    )


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _receipt(number: str, note: str = "") -> Receipt:
    return Receipt(number, f"https://x.com/i/web/status/{number}", note)


def _expanded(found: dict[str, Any]) -> str:
    """Return a post's text with the links that X shortened."""
    text = str(found.get("text", ""))
    entities = found.get("entities")
    links = entities.get("urls") if isinstance(entities, dict) else None
    for one in links if isinstance(links, list) else []:
        if isinstance(one, dict) and one.get("url"):
            text = text.replace(str(one["url"]), str(one.get("expanded_url", "")))
    return text


def _plain(text: str) -> str:
    bare = re.sub(r"https?://", "", unescape(unicodedata.normalize("NFC", text)))
    return re.sub(r"\s+", " ", bare).strip().rstrip("/")
