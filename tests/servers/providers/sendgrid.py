"""SendGrid's mail/send, scopes and authenticated domains, as its API reference says (2026-11)."""

from __future__ import annotations

import time
from typing import Any

from tests.servers.providers import Call, Reply, Taken, reply

DOMAIN = "example.com"  # authenticated: what is below is too
KEY = "SG.c3VjaC1hLWtleQ.aXMtbm90aGluZy1idXQtYW4tZXhhbXBsZQ"
WRONG = "SG.d3Jvbmc.d3Jvbmcta2V5LW9mLXNvbWVib2R5LWVsc2U"
_LARGEST = 30_000_000
# https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send (`headers`)
_RESERVED = {
    "x-sg-id",
    "x-sg-eid",
    "received",
    "dkim-signature",
    "content-type",
    "content-transfer-encoding",
    "to",
    "from",
    "subject",
    "reply-to",
    "cc",
    "bcc",
}
_TRACKING = ("click_tracking", "open_tracking", "subscription_tracking", "ganalytics")


class Fake:
    path = "/v3/mail/send"

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.scopes = ["mail.send", "whitelabel.read"]
        self.domains: list[dict[str, Any]] = [{"id": 1, "domain": DOMAIN, "valid": True}]
        self.verdict: Reply | None = None  # instead of taking a message

    def options(self, url: str) -> dict[str, Any]:
        return {"kind": "sendgrid", "api_key": KEY, "url": url}

    def wrong(self, url: str) -> dict[str, Any]:
        return {**self.options(url), "api_key": WRONG}

    def secrets(self) -> list[str]:
        return [KEY, WRONG]

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Bearer {KEY}":
            return _errors(401, "The provided authorization grant is invalid, expired, or revoked")
        if (call.method, call.path) == ("POST", self.path):
            return self.verdict or self._take(call)
        if call.path == "/v3/scopes":
            return reply(200, {"scopes": self.scopes})
        if call.path == "/v3/whitelabel/domains":
            if "whitelabel.read" not in self.scopes:
                return _errors(403, "access forbidden")
            asked = call.query.partition("domain=")[2]
            return reply(200, [one for one in self.domains if one["domain"] == asked])
        return _errors(404, "not found")

    def too_many(self, seconds: int) -> Reply:
        reset = str(int(time.time()) + seconds)
        limits = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": reset}
        return Reply(429, b'{"errors":[{"message":"too many requests"}]}', limits)

    def fewer(self, good: Reply) -> None:
        del good

    def _take(self, call: Call) -> Reply:
        if len(call.body) > _LARGEST:
            return _errors(413, "Payload too large")
        mail = call.json
        wrong = _wrong(mail)
        if wrong is not None:
            return _errors(400, *wrong)
        self.taken.append(_taken(mail))
        return Reply(202, b"", {"X_Message_Id": f"qNwBLgPQQjW6DJvKQwSAbw-{len(self.taken)}"})


def _errors(status: int, message: str, field: str | None = None) -> Reply:
    return reply(status, {"errors": [{"message": message, "field": field, "help": None}]})


def _wrong(mail: dict[str, Any]) -> tuple[str, str] | None:
    (person,) = mail["personalizations"]
    (to,) = person["to"]
    if to["email"].count("@") != 1 or to["email"].startswith("refused"):
        return "Does not contain a valid address.", "personalizations.0.to.0.email"
    if not isinstance(mail["from"], dict) or "@" not in mail["from"]["email"]:
        return "The from object must be provided for every email send.", "from"
    if not mail["subject"]:
        return "The subject is required.", "subject"
    kinds = [one["type"] for one in mail["content"] if one["value"]]
    if kinds != sorted(kinds, key=["text/plain", "text/html"].index):
        return "If present, text/plain and text/html may only be provided once.", "content"
    if len(kinds) < len(mail["content"]) or not kinds:
        return "The content value must be a string at least one character long.", "content.0.value"
    if any(name.lower() in _RESERVED for name in mail["headers"]):
        return "A reserved header may not be used.", "headers"
    return None


def _taken(mail: dict[str, Any]) -> Taken:
    (person,) = mail["personalizations"]
    contents = {one["type"]: one["value"] for one in mail["content"]}
    headers = {name.lower(): text for name, text in mail["headers"].items()}
    settings, reply_to = mail.get("tracking_settings", {}), mail.get("reply_to", {})
    return Taken(
        recipient=person["to"][0]["email"],
        headers={**headers, "subject": mail["subject"], "reply-to": reply_to.get("email", "")},
        text=contents.get("text/plain", ""),
        html=contents.get("text/html", ""),
        reference=person.get("custom_args", {}).get("ref", ""),
        # What is not said is what the account's settings say.
        tracked=any(settings.get(one, {}).get("enable") is not False for one in _TRACKING),
    )
