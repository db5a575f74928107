"""Resend as its API reference has it: POST /emails/batch and GET /domains (2026-11)."""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import Any

from tests.servers.providers import Call, Reply, Taken, reply

KEY = "re_abcdefgh_1234567890"
WRONG = "re_wrong_key_1234567890"
DOMAIN = "news.example.com"


class Fake:
    path = "/emails/batch"

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.known: dict[str, tuple[bytes, Reply]] = {}  # by key: its body and answer
        self.in_flight: set[str] = set()  # keys whose first call seems to be still at work
        self.domain: dict[str, Any] = {"id": "d1", "name": DOMAIN, "status": "verified"}

    def options(self, url: str) -> dict[str, Any]:
        return {"url": url, "api_key": KEY, "calls_per_second": 1000}

    def wrong(self, url: str) -> dict[str, Any]:
        return {**self.options(url), "api_key": WRONG}

    def secrets(self) -> list[str]:
        return [KEY, WRONG]

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Bearer {KEY}":
            # Answers that repeat what they were given do exist.
            told = f"API key {call.headers.get('authorization', '')} is invalid"
            return _error(403, "invalid_api_key", told)
        if (call.method, call.path) == ("GET", "/domains"):
            return reply(200, {"object": "list", "data": [self.domain]})
        if (call.method, call.path) == ("GET", f"/domains/{self.domain['id']}"):
            return reply(200, self.domain)
        return self._with_key(call)

    def too_many(self, seconds: int) -> Reply:
        found = _error(429, "rate_limit_exceeded", "Too many requests.")
        return Reply(found.status, found.content, {"Retry-After": str(seconds)})

    def fewer(self, good: Reply) -> Reply | None:
        return Reply(good.status, good.content.replace(b'{"id": "1"}, ', b"", 1))

    def _with_key(self, call: Call) -> Reply:
        key = call.headers["idempotency-key"]
        assert 0 < len(key) <= 256
        if key in self.in_flight:
            self.in_flight.remove(key)
            return _error(409, "concurrent_idempotent_requests", "still in progress")
        if key in self.known:
            body, answer = self.known[key]
            again = _error(409, "invalid_idempotent_request", "used with a different payload")
            return answer if body == call.body else again
        answer = self._take(call)
        self.known[key] = call.body, answer
        return answer

    def _take(self, call: Call) -> Reply:
        assert call.headers["content-type"] == "application/json"
        assert call.headers["x-batch-validation"] == "permissive"
        emails = call.json
        assert 0 < len(emails) <= 100
        ids: list[dict[str, str]] = []
        errors: list[dict[str, Any]] = []
        for at, email in enumerate(emails):
            wrong = _wrong(email)
            if wrong:
                errors.append({"index": at, "message": wrong})
            else:
                self.taken.append(_taken(email))
                ids.append({"id": str(len(self.taken))})
        return reply(200, {"data": ids, **({"errors": errors} if errors else {})})


def _wrong(email: dict[str, Any]) -> str:
    assert set(email) <= {"from", "to", "subject", "html", "text", "headers", "tags", "reply_to"}
    assert len(email["to"]) == 1, "events do not tell who of several"
    if '"' in email["from"] or "=?" in email["from"]:
        return "Invalid `from` field"
    for tag in email.get("tags", []):
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag["name"] + tag["value"]), tag
    return "Invalid `to` field" if email["to"][0].startswith("refused") else ""


def _taken(email: dict[str, Any]) -> Taken:
    tags = {one["name"]: one["value"] for one in email.get("tags", [])}
    headers = {name.lower(): value for name, value in email["headers"].items()}
    known = {"subject": email["subject"], "from": email["from"]}
    return Taken(
        recipient=parseaddr(email["to"][0])[1],
        headers={**headers, **known, "reply-to": "".join(email.get("reply_to", []))},
        text=email["text"],
        html=email["html"],
        reference=tags.get("ref", ""),
        tracked=False,  # a setting of the domain
    )


def _error(status: int, name: str, message: str) -> Reply:
    return reply(status, {"statusCode": status, "name": name, "message": message})
