"""Whether an account of SES may send for a domain, as `doctor` tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

from newsletter_bot.delivery.calls.event_values import text, value
from newsletter_bot.delivery.calls.model import Answer, Finding

_OK = 200
_MISSING = 404


def account(answer: Answer) -> list[Finding]:
    """Read the account: whether it may send at all, to whom, how much and how fast."""
    told = answer.json
    if answer.status != _OK or not isinstance(told, dict):
        return [_no_answer(answer)]
    return [_sending(answer), *_limits(answer), _quota(answer)]


def identity(get: Callable[[str], Answer], domain: str) -> list[Finding]:
    """Look for the domain, or one above it: a verified domain covers those below."""
    labels = domain.lower().split(".")
    for first in range(max(1, len(labels) - 1)):
        name = ".".join(labels[first:])
        answer = get(f"identities/{quote(name, safe='')}")
        if answer.status == _OK:
            return list(_identity(answer, name))
        if answer.status != _MISSING:
            sentence = f"SES does not tell of the domain {name}: {answer.words}"
            return [Finding(well=False, sentence=sentence, grave=False)]
    return [
        Finding(
            well=False,
            sentence=f"SES knows no identity {domain}, nor one above it, in this region.",
            next_step="Create it in SES as a domain identity, and publish its DKIM records.",
        )
    ]


def _no_answer(answer: Answer) -> Finding:
    return Finding(
        well=False,
        sentence=f"SES refuses the credentials, or the right to look: {answer.words}",
        next_step="Check access_key_id, its secret, and the region; allow ses:SendRawEmail,"
        " ses:SendEmail, ses:GetAccount and ses:GetEmailIdentity.",
    )


def _sending(answer: Answer) -> Finding:
    enabled = value(answer.json, "SendingEnabled") is True
    state = text(answer.json, "EnforcementStatus") or "unknown"
    return Finding(
        well=enabled,
        sentence=f"SES takes the credentials; sending is {'on' if enabled else 'off'}"
        f" (account {state}).",
        next_step="" if enabled else "Look at the account in SES: Amazon says there why.",
    )


def _limits(answer: Answer) -> Iterator[Finding]:
    if value(answer.json, "ProductionAccessEnabled") is not True:
        yield Finding(
            well=False,
            sentence="The account is in SES's sandbox: it sends to verified addresses alone.",
            next_step="Request production access in SES.",
        )
    if text(answer.json, "EnforcementStatus") == "PROBATION":
        yield Finding(
            well=False,
            sentence="Amazon has put the account under review.",
            next_step="Look at the account in SES, before it is shut down.",
            grave=False,
        )


def _quota(answer: Answer) -> Finding:
    most, rate, sent = (
        _number(answer, name) for name in ("Max24HourSend", "MaxSendRate", "SentLast24Hours")
    )
    day = "any number of messages" if most < 0 else f"{most:.0f} messages"
    left = most < 0 or sent < most
    return Finding(
        well=left,
        sentence=f"SES takes {day} in 24 hours ({sent:.0f} sent), {rate:g} a second.",
        next_step="" if left else "Wait, or ask Amazon for a larger quota.",
        grave=False,
    )


def _number(answer: Answer, name: str) -> float:
    found = value(answer.json, "SendQuota", name)
    return float(found) if isinstance(found, int | float) else 0.0


def _identity(answer: Answer, name: str) -> Iterator[Finding]:
    verified = value(answer.json, "VerifiedForSendingStatus") is True
    yield Finding(
        well=verified,
        sentence=f"SES {'may' if verified else 'may not'} send for {name}.",
        next_step="" if verified else "Publish the records that SES shows for the domain.",
    )
    dkim = text(answer.json, "DkimAttributes", "Status") or "unknown"
    signs = value(answer.json, "DkimAttributes", "SigningEnabled") is True
    if dkim != "SUCCESS" or not signs:
        yield Finding(
            well=False,
            sentence=f"SES does not sign for {name} (DKIM {dkim}), and our signature is dropped.",
            next_step="Publish the three CNAME records that SES shows under DKIM.",
        )
