"""SES's SendEmail, GetAccount and GetEmailIdentity, as the API reference (v2) says (2026-11)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from tests.servers.providers import Call, Reply, Taken, reply

REGION = "eu-west-1"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
WRONG = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLENOT"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN=="
DOMAIN = "news.example.com"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/(\d{8}/[a-z0-9-]+/ses/aws4_request), "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
_LARGEST = 40_000_000
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


class Fake:
    path = "/v2/email/outbound-emails"

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.account: dict[str, Any] = {
            "SendingEnabled": True,
            "ProductionAccessEnabled": True,
            "EnforcementStatus": "HEALTHY",
            "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 120.0},
        }
        self.identities: dict[str, Any] = {
            DOMAIN: {
                "VerifiedForSendingStatus": True,
                "DkimAttributes": {"Status": "SUCCESS", "SigningEnabled": True},
            }
        }
        self.verdict: Reply | None = None  # instead of taking a message

    def options(self, url: str) -> dict[str, Any]:
        found = {"access_key_id": KEY_ID, "secret_access_key": SECRET, "session_token": TOKEN}
        return {"kind": "ses", "region": REGION, "url": url, **found}

    def wrong(self, url: str) -> dict[str, Any]:
        return {**self.options(url), "secret_access_key": WRONG}

    def secrets(self) -> list[str]:
        return [SECRET, WRONG, TOKEN]

    def answer(self, call: Call) -> Reply:
        if not _signed(call):
            said = "The request signature we calculated does not match the signature you provided."
            return error(403, "SignatureDoesNotMatch", said)
        if (call.method, call.path) == ("POST", self.path):
            return self.verdict or self._take(call)
        if call.path == "/v2/email/account":
            return reply(200, self.account)
        known = self.identities.get(call.path.removeprefix("/v2/email/identities/"))
        return reply(200, known) if known else error(404, "NotFoundException", "No identity")

    def too_many(self, seconds: int) -> Reply:
        del seconds  # it says nothing of when
        return error(429, "TooManyRequestsException", "Too many requests")

    def fewer(self, good: Reply) -> None:
        del good

    def _take(self, call: Call) -> Reply:
        told = call.json
        to = told["Destination"]["ToAddresses"]
        content = base64.b64decode(told["Content"]["Raw"]["Data"], validate=True)
        tags = {one["Name"]: one["Value"] for one in told.get("EmailTags", [])}
        if not all(_TAG.fullmatch(word) for pair in tags.items() for word in pair):
            return error(400, "BadRequestException", "Invalid tag")
        if len(call.body) > _LARGEST:
            return error(413, "RequestEntityTooLarge", "Request is too large")
        if len(to) != 1 or to[0].startswith("refused") or not to[0].isascii():
            said = "Local address contains control or whitespace"
            return error(400, "BadRequestException", said)
        self.taken.append(_taken(to[0], content, tags.get("newsletter-bot-ref", "")))
        return reply(200, {"MessageId": f"0102018-{len(self.taken)}-000000"})


def error(status: int, name: str, said: str) -> Reply:
    made = reply(status, {"message": said})
    kind = f"{name}:http://internal.amazon.com/coral/com.amazonaws.services.ses/"
    return Reply(status, made.content, {"x-amzn-ErrorType": kind})


def _signed(call: Call) -> bool:
    """Sign the call as its header says, and compare."""
    found = _AUTHORIZATION.fullmatch(call.headers.get("authorization", ""))
    if found is None or found[1] != KEY_ID:
        return False
    scope, names = found[2], found[3].split(";")
    if not {"host", "x-amz-date"} <= set(names) or REGION not in scope:
        return False
    if "x-amz-security-token" in names and call.headers["x-amz-security-token"] != TOKEN:
        return False
    body = hashlib.sha256(call.body).hexdigest()
    lines = "".join(f"{name}:{call.headers[name]}\n" for name in names)
    canonical = f"{call.method}\n{call.path}\n{call.query}\n{lines}\n{found[3]}\n{body}"
    at = call.headers["x-amz-date"]
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{SECRET}".encode()
    for word in (*scope.split("/"), text):
        key = hmac.digest(key, word.encode(), "sha256")
    return hmac.compare_digest(key.hex(), found[4])


def _taken(recipient: str, content: bytes, reference: str) -> Taken:
    message = message_from_bytes(content, _class=EmailMessage, policy=policy.default)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    return Taken(
        recipient=recipient,
        headers={name.lower(): str(value) for name, value in message.items()},
        text=str(text.get_content()) if text else "",
        html=str(html.get_content()) if html else "",
        reference=reference,
        tracked=False,  # only a configuration set could switch it on
    )
