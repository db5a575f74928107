"""Amazon SES by its API (v2): our own MIME, one recipient a call; events come by SNS.

Facts are those of docs.aws.amazon.com/ses, read in 2026-11.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr

from newsletter_bot.delivery.calls.answers import by_status, waited
from newsletter_bot.delivery.calls.model import (
    Answer,
    Finding,
    NotTaken,
    Request,
    Shape,
    Sorted,
    Unsure,
    Verdict,
)
from newsletter_bot.delivery.calls.secrets import secret_of
from newsletter_bot.delivery.calls.structured import reference_of, without_signature
from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.model import Message, accepted, refused
from newsletter_bot.delivery.transports.ses.events import TAG, SesEvents
from newsletter_bot.delivery.transports.ses.health import account, identity
from newsletter_bot.delivery.transports.ses.sigv4 import Credentials, Signer
from newsletter_bot.delivery.transports.ses.sns import Signatures
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings.tables import Duration, Table, WebAddress, seconds

description = "Amazon SES by its API (v2): our own MIME, signed by Amazon; events by SNS."

_OK = 200
_TOO_LARGE = 413
# Encoded: 40 MB. Of a message as it is, three quarters.
_SHAPE = Shape(most=1, most_bytes=30_000_000)

_ARN = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]{1,256}$"
Topic = Annotated[str, Field(pattern=_ARN)]


class Options(Table):
    """[transport] kind = "ses"."""

    region: Annotated[str, Field(pattern=r"^([a-z]{2,4}(-[a-z]+)+-\d{1,2})?$")] = ""
    access_key_id: Annotated[str, Field(pattern=r"^[A-Z0-9]{0,128}$")] = ""
    secret_access_key: SecretStr = SecretStr("")
    secret_access_key_file: str = ""
    session_token: SecretStr = SecretStr("")
    session_token_file: str = ""
    configuration_set: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    topics: tuple[Topic, ...] = ()
    sha1: bool = True
    url: WebAddress | None = None
    timeout: Duration = "60s"


def open_transport(options: Options, folder: Path) -> CallTransport:
    """Use the options' credentials, else those of the environment; raises ConfigurationError."""
    region = options.region or os.environ.get("AWS_REGION", "")
    region = region or os.environ.get("AWS_DEFAULT_REGION", "")
    if not re.fullmatch(r"[a-z0-9-]+", region):
        raise ConfigurationError(
            "newsletter.toml: the transport needs the region that SES is used in.",
            'Write region = "eu-west-1", or set AWS_REGION.',
        )
    end = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    base = options.url or f"https://email.{region}.{end}"
    signer = Signer(_credentials(options, folder), region, "ses")
    return CallTransport(Ses(base, signer, options.configuration_set), seconds(options.timeout))


def open_events(options: Options, folder: Path) -> SesEvents | None:
    """Hear what SNS posts about the options' topics; without one there is nobody to believe."""
    del folder  # the signature is Amazon's, there is no secret
    if not options.topics:
        return None
    return SesEvents(options.topics, Signatures(options.topics, sha1=options.sha1))


def _credentials(options: Options, folder: Path) -> Credentials:
    key_id, named = options.access_key_id, True
    secret, token = options.secret_access_key, options.session_token
    if not key_id:  # all three are the environment's, or none: they belong together
        key_id, named = os.environ.get("AWS_ACCESS_KEY_ID", ""), False
        secret = SecretStr(os.environ.get("AWS_SECRET_ACCESS_KEY", ""))
        token = SecretStr(os.environ.get("AWS_SESSION_TOKEN", ""))
    if not re.fullmatch(r"[A-Z0-9]+", key_id):
        raise ConfigurationError(
            "newsletter.toml: the transport needs access_key_id, and there is none.",
            "Write it there, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    file, token_file = options.secret_access_key_file, options.session_token_file
    return Credentials(
        key_id,
        secret_of("secret_access_key", secret, file if named else "", folder),
        secret_of("session_token", token, token_file if named else "", folder, needed=False),
    )


@dataclass(frozen=True, slots=True)
class Ses:
    """SES in one region; see calls.model.Provider."""

    base: str
    signer: Signer
    configuration_set: str = ""
    clock: Callable[[], float] = time.time
    shape: Shape = _SHAPE

    def request(self, messages: Sequence[Message], key: str) -> Request:
        """See Provider; our reference comes back in events as a tag, and as its own header.

        FromEmailAddress is left out: it would take the place of our From, whatever that says. So
        is FeedbackForwardingEmailAddress: bounces come as events.
        """
        del key  # it has none
        (message,) = messages
        content = without_signature(message.content)
        document: dict[str, Any] = {
            "Content": {"Raw": {"Data": base64.b64encode(content).decode()}},
            "Destination": {"ToAddresses": [message.recipient]},
        }
        if reference := reference_of(content):
            document["EmailTags"] = [{"Name": TAG, "Value": reference}]
        if self.configuration_set:
            document["ConfigurationSetName"] = self.configuration_set
        return self._signed("POST", "/v2/email/outbound-emails", json.dumps(document).encode())

    def read(self, answer: Answer, messages: Sequence[Message]) -> Verdict:
        """See Provider."""
        if answer.status == _OK:
            name = answer.find("MessageId")
            # A page in between, or half an answer, says nothing of what SES did.
            return [accepted(f"SES took it as {name}")] if name else Unsure(answer.words)
        return _failure(answer, messages[0].recipient)

    def check(self, ask: Callable[[Request], Answer], domain: str) -> Sequence[Finding]:
        """See Provider: the account's state and quota, and whether the domain is verified."""

        def get(path: str) -> Answer:
            return ask(self._signed("GET", f"/v2/email/{path}"))

        answer = get("account")
        found = account(answer)
        return [*found, *identity(get, domain)] if answer.status == _OK else found

    def _signed(self, method: str, path: str, content: bytes = b"") -> Request:
        url = f"{self.base}{path}"
        headers = {"Content-Type": "application/json"} if content else {}
        return Request(
            method,
            url,
            self.signer.sign(method, url, headers, content, self.clock()),
            content,
        )


# ── what a failure means ─────────────────────────────────────────────────────────────────────

_LATER = frozenset(
    "Throttling ThrottlingException TooManyRequestsException RequestThrottled SlowDown"
    " ServiceUnavailable ServiceUnavailableException".split()
)
_THEIRS = frozenset("InternalFailure InternalServerError InternalServiceErrorException".split())
_INVALID = frozenset("BadRequestException ValidationException InvalidParameterValue".split())
# A 503 is "later" where SES names it: one of something between us says nothing of the message.
_STATUSES = Sorted(later=frozenset({425, 429}))
_QUOTA = re.compile(r"quota exceeded", re.IGNORECASE)  # "Daily message quota exceeded"
# "Local address contains control or whitespace", "Missing final '@domain'", "Domain contains dot".
_ABOUT_RECIPIENT = re.compile(
    r"\blocal (?:address|name)|missing final|\bdomain (?:name|contains|starts|ends)"
    r"|(?:invalid|illegal) (?:email )?address|address length|\bToAddresses",
    re.IGNORECASE,
)
_ABOUT_US = re.compile(r"\bfrom\b|sender|not verified|configuration set", re.IGNORECASE)


def _failure(answer: Answer, recipient: str) -> Verdict:
    name, said = _name(answer), answer.find("message") or answer.find("Message")
    if name in _LATER or answer.status == 429:  # noqa: PLR2004 - Too Many Requests
        lasting = bool(_QUOTA.search(said))
        return NotTaken(answer.words, None if lasting else waited(answer), lasting=lasting)
    if name in _THEIRS:
        return Unsure(answer.words)
    named = recipient.lower() in said.lower() or _ABOUT_RECIPIENT.search(said)
    if name in _INVALID and named and not _ABOUT_US.search(said):
        return [refused(answer.words)]
    if answer.status == _TOO_LARGE:
        return [refused(f"{answer.words} (message too large)")]
    # Of other 4xx the next message would hear the same: MessageRejected (also for what nobody
    # verified), AccountSuspended, SendingPaused, MailFromDomainNotVerified, a bad signature.
    return by_status(answer, _STATUSES) or NotTaken(answer.words, lasting=True)


def _name(answer: Answer) -> str:
    """Return an error's name: of the header `Name:address`, or of the body's `place#Name`."""
    told = answer.headers.get("x-amzn-errortype", "") or answer.find("__type")
    return told.partition(":")[0].rpartition("#")[2].strip()
