"""Mailgun's messages.mime, domains and tracking settings, as its API reference says (2026-11)."""

from __future__ import annotations

import base64
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from tests.servers.providers import Call, Reply, Taken, reply

DOMAIN = "news.example.com"
KEY = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"
WRONG = "key-00000000000000000000000000000000"
_LARGEST = 25_000_000
_BAD_TO = "'to' parameter is not a valid address. please check documentation"


class Fake:
    path = f"/v3/{DOMAIN}/messages.mime"

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.state = "active"
        self.valid = "valid"
        self.unsubscribe: bool | str = False  # whether it adds links of its own
        self.verdict: Reply | None = None  # instead of taking a message

    def options(self, url: str) -> dict[str, Any]:
        return {"kind": "mailgun", "domain": DOMAIN, "api_key": KEY, "url": url}

    def wrong(self, url: str) -> dict[str, Any]:
        return {**self.options(url), "api_key": WRONG}

    def secrets(self) -> list[str]:
        words = [f"api:{key}".encode() for key in (KEY, WRONG)]
        return [KEY, WRONG, *(base64.b64encode(word).decode() for word in words)]

    def answer(self, call: Call) -> Reply:
        word = base64.b64encode(f"api:{KEY}".encode()).decode()
        if call.headers.get("authorization") != f"Basic {word}":
            return Reply(401, b"Forbidden", {"content_type": "text/plain"})
        if (call.method, call.path) == ("POST", self.path):
            return self.verdict or self._take(call)
        if call.path == f"/v3/domains/{DOMAIN}":
            return reply(200, self._domain())
        if call.path == f"/v3/domains/{DOMAIN}/tracking":
            off = {"active": False}
            tracking = {"click": off, "open": off, "unsubscribe": {"active": self.unsubscribe}}
            return reply(200, {"tracking": tracking})
        return reply(404, {"message": "Domain not found"})

    def too_many(self, seconds: int) -> Reply:
        return reply(429, {"message": "Too many requests"}, Retry_After=str(seconds))

    def fewer(self, good: Reply) -> None:
        del good

    def _take(self, call: Call) -> Reply:
        if len(call.body) > _LARGEST:
            return reply(413, {"message": "Request entity too large"})
        fields = _fields(call)
        to = fields.get("to", b"").decode()
        if not fields.get("message"):
            return reply(400, {"message": "Need at least one of 'message' parameter specified"})
        if "@" not in to or "," in to or to.startswith("refused"):
            return reply(400, {"message": _BAD_TO})
        self.taken.append(_taken(to, fields))
        name = f"<{len(self.taken)}.{DOMAIN}>"
        return reply(200, {"id": name, "message": "Queued. Thank you."})

    def _domain(self) -> dict[str, Any]:
        records = [
            {
                "record_type": "TXT",
                "valid": self.valid,
                "name": f"mx._domainkey.{DOMAIN}",
                "value": "k=rsa; p=MIGf",
            },
            {
                "record_type": "CNAME",
                "valid": "unknown",
                "name": f"email.{DOMAIN}",
                "value": "mailgun.org",
            },
        ]
        return {
            "domain": {"name": DOMAIN, "state": self.state},
            "sending_dns_records": records,
            "receiving_dns_records": [],
        }


def _fields(call: Call) -> dict[str, bytes]:
    """Read a form as Go's mime/multipart does: to the byte, nothing decoded."""
    boundary = call.headers["content-type"].partition("boundary=")[2].encode()
    first, *parts, last = call.body.split(b"--" + boundary)
    assert (first, last) == (b"", b"--\r\n")
    found = {}
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        name = head.partition(b'name="')[2].partition(b'"')[0].decode()
        assert name not in found
        found[name] = content.removesuffix(b"\r\n")
    return found


def _taken(to: str, fields: dict[str, bytes]) -> Taken:
    message = message_from_bytes(fields["message"], _class=EmailMessage, policy=policy.default)
    raw = message_from_bytes(fields["message"], policy=policy.compat32)
    headers = {name.lower(): " ".join(str(text).split()) for name, text in raw.items()}
    headers["subject"] = str(message["subject"])
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    tracking = ("o:tracking", "o:tracking-clicks", "o:tracking-opens")
    return Taken(
        recipient=to,
        headers=headers,
        text=str(text.get_content()) if text else "",
        html=str(html.get_content()) if html else "",
        reference=fields.get("v:ref", b"").decode(),
        tracked=any(fields.get(name) != b"no" for name in tracking),
    )
