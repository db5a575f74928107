"""Postmark's batches, server and message streams, as its API reference says (2026-11)."""

from __future__ import annotations

import json
from email.utils import getaddresses
from typing import Any

from tests.servers.providers import Call, Reply, Taken, reply

TOKEN = "6cbb3f0e-9a58-4c2f-8a2b-4f4b6f3c0d11"
WRONG = "00000000-0000-0000-0000-000000000000"
STREAM = "broadcast"
_MOST, _LARGEST = 500, 50_000_000
_INACTIVE = (
    "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses:"
    " {}. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a"
    " manual suppression."
)


class Fake:
    path = "/email/batch"

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.server: dict[str, Any] = {"ID": 1, "Name": "News", "DeliveryType": "Live"}
        self.stream: dict[str, Any] = {
            "ID": STREAM,
            "MessageStreamType": "Broadcasts",
            "ArchivedAt": None,
            "SubscriptionManagementConfiguration": {"UnsubscribeHandlingType": "Custom"},
        }
        self.verdict: Reply | None = None  # instead of taking messages
        self.results: dict[str, dict[str, Any]] = {}  # what is said of a recipient

    def options(self, url: str) -> dict[str, Any]:
        return {"kind": "postmark", "server_token": TOKEN, "url": url}

    def wrong(self, url: str) -> dict[str, Any]:
        return {**self.options(url), "server_token": WRONG}

    def secrets(self) -> list[str]:
        return [TOKEN, WRONG]

    def answer(self, call: Call) -> Reply:
        if call.headers.get("x-postmark-server-token") != TOKEN:
            return reply(401, failure(10, "Bad or missing Server API token."))
        if (call.method, call.path) == ("POST", self.path):
            return self.verdict or self._batch(call)
        if call.path == "/server":
            return reply(200, self.server)
        if call.path == f"/message-streams/{self.stream['ID']}":
            return reply(200, self.stream)
        return reply(422, failure(1226, "The message stream was not found."))

    def too_many(self, seconds: int) -> Reply:
        del seconds  # it says nothing of when
        return reply(429, failure(429, "Rate limit exceeded"))

    def fewer(self, good: Reply) -> Reply:
        return reply(200, json.loads(good.content)[:-1])

    def _batch(self, call: Call) -> Reply:
        if len(call.body) > _LARGEST:
            return reply(413, failure(0, "Payload too large"))
        told = call.json
        if len(told) > _MOST:
            return reply(422, failure(410, "Too many batch messages"))
        return reply(200, [self._message(one) for one in told])

    def _message(self, told: dict[str, Any]) -> dict[str, Any]:
        to = [address for _, address in getaddresses([told["To"]])]
        if len(to) != 1 or not to[0].isascii() or "@" not in to[0]:
            return failure(300, f"Error parsing 'To': Illegal email address '{told['To']}'.")
        if said := self.results.get(to[0]):
            return said
        if to[0].startswith("refused"):
            return failure(406, _INACTIVE.format(to[0]))
        if to[0].startswith("later"):
            return failure(429, "Rate limit exceeded")
        wrong = self._wrong(told)
        if wrong:
            return wrong
        self.taken.append(_taken(to[0], told))
        name = f"b7bc2f4a-e38e-4336-af7d-{len(self.taken):012}"
        return {**failure(0, "OK"), "MessageID": name, "To": told["To"]}

    def _wrong(self, told: dict[str, Any]) -> dict[str, Any] | None:
        if len(getaddresses([told["From"]])) != 1:
            return failure(300, f"Invalid 'From' address: '{told['From']}'.")
        if told["MessageStream"] != self.stream["ID"]:
            return failure(1235, "The 'MessageStream' provided does not exist.")
        if any(len(key) > 20 or len(word) > 80 for key, word in told.get("Metadata", {}).items()):
            return failure(300, "Invalid metadata content.")
        if not (told["TextBody"] or told["HtmlBody"]):
            return failure(300, "Provide either email TextBody or HtmlBody or both.")
        return None


def failure(code: int, said: str) -> dict[str, Any]:
    return {"ErrorCode": code, "Message": said}


def _taken(recipient: str, told: dict[str, Any]) -> Taken:
    headers = {one["Name"].lower(): one["Value"] for one in told["Headers"]}
    if headers.pop("x-pm-keepid", "") != "true":
        headers["message-id"] = "<b7bc2f4a@mtasv.net>"
    fields = {"from": told["From"], "to": told["To"], "subject": told["Subject"]}
    return Taken(
        recipient=recipient,
        headers={**headers, **fields},
        text=told["TextBody"],
        html=told["HtmlBody"],
        reference=told.get("Metadata", {}).get("newsletter-bot-ref", ""),
        tracked=told.get("TrackOpens") is not False or told.get("TrackLinks") != "None",
    )
