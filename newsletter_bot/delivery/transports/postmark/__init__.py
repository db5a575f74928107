"""Postmark: messages in batches from our text, HTML and headers, and its webhooks.

Facts are those of postmarkapp.com/developer and its support pages, read in 2026-11.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field, SecretStr

from newsletter_bot.delivery.calls.answers import by_status, waited
from newsletter_bot.delivery.calls.event_values import text
from newsletter_bot.delivery.calls.model import (
    Answer,
    Finding,
    NotTaken,
    Request,
    Shape,
    Unsure,
    Verdict,
)
from newsletter_bot.delivery.calls.secrets import secret_of
from newsletter_bot.delivery.calls.structured import structured
from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.model import (
    Message,
    Outcome,
    accepted,
    deferred,
    refused,
    unknown,
)
from newsletter_bot.delivery.transports.postmark.events import METADATA, PostmarkEvents
from newsletter_bot.settings.tables import Duration, OneLine, Table, WebAddress, seconds

description = "Postmark by its API (batches): the MIME is Postmark's, from our text and headers."

_BASE = "https://api.postmarkapp.com"
_OK = 200
_UNPROCESSABLE = 422
# 500 messages and 50 MB, as JSON: a little more than our MIME where there are many quotes.
_SHAPE = Shape(most=500, most_bytes=40_000_000)


class Options(Table):
    """[transport] kind = "postmark"."""

    server_token: SecretStr = SecretStr("")
    server_token_file: str = ""
    message_stream: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,100}$")] = "broadcast"
    url: WebAddress = _BASE
    timeout: Duration = "2m"
    webhook_user: Annotated[OneLine, Field(pattern=r"^[^:]+$")] = "postmark"
    webhook_password: SecretStr = SecretStr("")
    webhook_password_file: str = ""


def open_transport(options: Options, folder: Path) -> CallTransport:
    """Use one server's token and stream; raises ConfigurationError without a token."""
    token = secret_of("server_token", options.server_token, options.server_token_file, folder)
    provider = Postmark(options.url, token, options.message_stream)
    return CallTransport(provider, seconds(options.timeout))


def open_events(options: Options, folder: Path) -> PostmarkEvents | None:
    """Hear webhooks that know user and password: Postmark signs nothing."""
    password = secret_of(
        "webhook_password",
        options.webhook_password,
        options.webhook_password_file,
        folder,
        needed=False,
    )
    return PostmarkEvents(options.webhook_user, password) if password else None


# ── sending ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Postmark:
    """One server and stream; see calls.model.Provider."""

    base: str
    token: str = field(repr=False)
    stream: str = "broadcast"
    shape: Shape = _SHAPE

    def request(self, messages: Sequence[Message], key: str) -> Request:
        """See Provider; our reference comes back in events as metadata."""
        del key  # it has none
        documents = [self._document(message) for message in messages]
        content = json.dumps(documents, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {**self._headers(), "Content-Type": "application/json"}
        return Request("POST", f"{self.base}/email/batch", headers, content)

    def read(self, answer: Answer, messages: Sequence[Message]) -> Verdict:
        """See Provider: each message has a result of its own, whatever the status."""
        if answer.status == _OK:
            return _results(answer, len(messages))
        code = answer.find("ErrorCode")
        alone = len(messages) == 1 and answer.status == _UNPROCESSABLE
        sort = _sort(code, answer.find("Message"))
        if alone and sort is _Sort.READER:
            return [refused(_result_words(answer.json))]
        if sort is _Sort.LATER:
            return NotTaken(answer.words, waited(answer))
        # Of other 4xx the next batch would hear the same. A 503 was not processed, it says.
        return by_status(answer) or NotTaken(answer.words, lasting=True)

    def check(self, ask: Callable[[Request], Answer], domain: str) -> Sequence[Finding]:
        """See Provider: the token, and what the stream is for and does to our messages."""
        server = ask(Request("GET", f"{self.base}/server", self._headers()))
        if server.status != _OK or not server.find("Name"):
            return [_no_server(server)]
        place = f"{self.base}/message-streams/{quote(self.stream, safe='')}"
        stream = ask(Request("GET", place, self._headers()))
        untold = (
            f"Whether Postmark may send for {domain} only an account's token may ask; not done."
        )
        return [_server(server), *_stream(stream, self.stream), Finding(well=True, sentence=untold)]

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json", "X-Postmark-Server-Token": self.token}

    def _document(self, message: Message) -> dict[str, Any]:
        parts = structured(message)
        headers = [{"Name": name, "Value": said} for name, said in parts.headers]
        if parts.message_id:  # kept only where Postmark is told so
            headers.append({"Name": "Message-ID", "Value": parts.message_id})
            headers.append({"Name": "X-PM-KeepID", "Value": "true"})
        document: dict[str, Any] = {
            "MessageStream": self.stream,
            "From": parts.sender,
            "To": parts.to,
            "Subject": parts.subject,
            "TextBody": parts.text,
            "HtmlBody": parts.html,
            "Headers": headers,
            "TrackOpens": False,
            "TrackLinks": "None",
        }
        if parts.reply_to:
            document["ReplyTo"] = parts.reply_to
        if parts.reference:
            document["Metadata"] = {METADATA: parts.reference}
        return document


class _Sort(StrEnum):
    """Whose matter a result is."""

    TAKEN = "taken"
    READER = "reader"
    LATER = "later"
    UNSURE = "unsure"
    OURS = "ours"  # the sender, the account, the stream, or a code that we do not know


_SORTS = {
    "0": _Sort.TAKEN,
    "100": _Sort.LATER,  # maintenance
    "406": _Sort.READER,  # inactive: it bounced or complained, on this stream
    "429": _Sort.LATER,
    "500": _Sort.UNSURE,
}
_INVALID = "300"
# It begins "Invalid 'From' address", "Error parsing 'Reply-To'" or "Invalid metadata content"; what
# stands behind that may be a reader's address, whatever it spells.
_ABOUT_US = re.compile(
    r"(?:invalid|error parsing) '?(?:from|reply-?to|metadata|header|message ?stream)", re.IGNORECASE
)


def _sort(code: str, said: str) -> _Sort:
    if code == _INVALID:
        return _Sort.OURS if _ABOUT_US.match(said) else _Sort.READER
    return _SORTS.get(code, _Sort.OURS)


def _results(answer: Answer, count: int) -> Verdict:
    told = answer.json
    if not isinstance(told, list) or len(told) != count:
        # Without its words: they hold addresses, and would stand with every reader of the batch.
        many = len(told) if isinstance(told, list) else "no"
        return Unsure(f"HTTP 200, with {many} results for {count} messages")
    found = [(_result_sort(one), _result_words(one)) for one in told]
    sorts = {sort for sort, _ in found}
    if sorts == {_Sort.OURS}:
        return NotTaken(found[0][1], lasting=True)
    if sorts <= {_Sort.OURS, _Sort.LATER}:
        return NotTaken(found[0][1], waited(answer))
    return [_OUTCOMES[sort](words) for sort, words in found]


# What is ours or for later is still owed: the next batch hears it for itself.
_OUTCOMES: dict[_Sort, Callable[[str], Outcome]] = {
    _Sort.TAKEN: accepted,
    _Sort.READER: refused,
    _Sort.LATER: deferred,
    _Sort.OURS: deferred,
    _Sort.UNSURE: unknown,
}


def _result_sort(result: Any) -> _Sort:
    code = text(result, "ErrorCode")
    if code:
        return _sort(code, text(result, "Message"))
    # "Message accepted, but delivery may be delayed" has come without a code (django-anymail #392).
    return _Sort.TAKEN if text(result, "MessageID") else _Sort.UNSURE


def _result_words(result: Any) -> str:
    # What "inactive" may mean is told with it, spam among it: no word about this reader (2026-11).
    told = text(result, "Message").partition(" Inactive recipients are ones that")[0]
    code, said = text(result, "ErrorCode") or "?", told[:250]
    name = text(result, "MessageID")
    return f"Postmark {code}: {said or 'no explanation'}{f' ({name})' if name else ''}"


# ── doctor ───────────────────────────────────────────────────────────────────────────────────


def _no_server(answer: Answer) -> Finding:
    return Finding(
        well=False,
        sentence=f"Postmark refuses the server token: {answer.words}",
        next_step="Copy it from the server's page in Postmark, under API Tokens.",
    )


def _server(answer: Answer) -> Finding:
    name = text(answer.json, "Name")
    if text(answer.json, "DeliveryType") == "Sandbox":
        return Finding(
            well=False,
            sentence=f"The server {name} is a sandbox: Postmark delivers nothing of it.",
            next_step="Take the token of a live server.",
        )
    return Finding(well=True, sentence=f"Postmark knows the token: server {name}.")


def _stream(answer: Answer, name: str) -> Iterator[Finding]:
    kind = text(answer.json, "MessageStreamType")
    if answer.status != _OK or not kind or text(answer.json, "ArchivedAt"):
        yield Finding(
            well=False,
            sentence=f"Postmark has no stream {name} in use: {answer.words}",
            next_step="Write in message_stream the id of a broadcast stream of that server.",
        )
        return
    bulk = kind == "Broadcasts"
    yield Finding(
        well=bulk,
        sentence=f"The stream {name} is for {kind.lower()}.",
        next_step="" if bulk else "Newsletters may go over broadcast streams alone.",
        grave=False,
    )
    handling = ("SubscriptionManagementConfiguration", "UnsubscribeHandlingType")
    if text(answer.json, *handling) == "Postmark":
        yield Finding(
            well=False,
            sentence=f"In the stream {name} Postmark puts its own List-Unsubscribe headers and"
            " link in place of ours.",
            next_step="Ask Postmark's support to let you manage unsubscribes yourself, and switch"
            " that on in the stream's settings.",
            grave=False,
        )
