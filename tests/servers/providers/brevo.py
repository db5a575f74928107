"""Brevo as its API reference has it: POST /v3/smtp/email, GET account and domains (2026-11)."""

from __future__ import annotations

import uuid
from typing import Any

from tests.servers.providers import Call, Reply, Taken, reply

KEY = "xkeysib-abcdefgh-1234567890"
WRONG = "xkeysib-wrong-1234567890"
_FIELDS = {
    "sender",
    "to",
    "subject",
    "htmlContent",
    "textContent",
    "replyTo",
    "headers",
    "tags",
}


class Fake:
    path = "/v3/smtp/email"

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.known: set[str] = set()  # keys
        self.authenticated = True

    def options(self, url: str) -> dict[str, Any]:
        return {"url": url, "api_key": KEY}

    def wrong(self, url: str) -> dict[str, Any]:
        return {**self.options(url), "api_key": WRONG}

    def secrets(self) -> list[str]:
        return [KEY, WRONG]

    def answer(self, call: Call) -> Reply:
        key = call.headers.get("api-key", "")
        if key != KEY:
            return _error(401, "unauthorized", f"Key not found: {key}")
        if call.path == "/v3/account":
            return reply(200, {"email": "me@example.com", "relay": {"enabled": True}})
        if call.path == "/v3/senders/domains":
            domain = {"domain_name": "news.example.com", "authenticated": self.authenticated}
            return reply(200, {"domains": [{**domain, "verified": True}], "count": 1})
        return self._take(call)

    def too_many(self, seconds: int) -> Reply:
        found = _error(429, "too_many_requests", "Too many requests")
        headers = {"x-sib-ratelimit-remaining": "0", "x-sib-ratelimit-reset": str(seconds)}
        return Reply(found.status, found.content, headers)

    def fewer(self, good: Reply) -> Reply | None:
        del good
        return None

    def _take(self, call: Call) -> Reply:
        email = call.json
        assert set(email) <= _FIELDS
        (to,) = email["to"]
        headers = {name.lower(): value for name, value in email["headers"].items()}
        key = headers.pop("idempotencykey")
        assert str(uuid.UUID(key)) == key
        if key in self.known:
            return _error(400, "duplicate_parameter", "idempotencyKey was used already")
        if to["email"].startswith("refused"):
            return _error(400, "invalid_parameter", "email is not valid in to")
        assert all(value.isascii() for value in headers.values()), "it passes them on as they are"
        self.known.add(key)
        self.taken.append(
            Taken(
                recipient=to["email"],
                headers={
                    **headers,
                    "subject": email["subject"],
                    "from": f"{email['sender'].get('name', '')} <{email['sender']['email']}>",
                    "reply-to": email.get("replyTo", {}).get("email", ""),
                },
                text=email.get("textContent", ""),
                html=email.get("htmlContent", ""),
                reference="".join(email.get("tags", [])),
                tracked=False,  # a setting of the account
            )
        )
        return reply(201, {"messageId": f"<{len(self.taken)}@smtp-relay.mailin.fr>"})


def _error(status: int, code: str, message: str) -> Reply:
    return reply(status, {"code": code, "message": message})
