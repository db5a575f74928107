"""Something that came in → what it tells of: pure; tokens are checked, nothing is looked up."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from newsletter_bot.delivery.provider_events import EventKind, Events, ProviderEvent
from newsletter_bot.delivery.refusals_store import DELIVERY, LETTER, RELAY
from newsletter_bot.feedback.events.happened import MAIL, Proof, Raw, RawState, Read, Told
from newsletter_bot.feedback.events.tied import UNTIED, Tied, of_ties, of_token
from newsletter_bot.feedback.mails.addresses import ADDRESS
from newsletter_bot.feedback.mails.classify import judge
from newsletter_bot.feedback.mails.model import Fault, Kind, Reading
from newsletter_bot.feedback.mails.read import read_mail
from newsletter_bot.subscribers import by_mail
from newsletter_bot.subscribers.tokens import TokenSigner

_LONGEST_REASON = 300
_LONGEST_KEY = 100
_DAY = 86_400
_ADDRESS = re.compile(ADDRESS)
_CONTROL = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")

_JUDGED = frozenset({EventKind.BOUNCED, EventKind.REJECTED})
_ADDRESSED = frozenset({*_JUDGED, EventKind.COMPLAINED, EventKind.UNSUBSCRIBED})
_KINDS = {
    Kind.BOUNCE: EventKind.BOUNCED,
    Kind.DELAY: EventKind.DEFERRED,
    Kind.COMPLAINT: EventKind.COMPLAINED,
}


@dataclass(frozen=True)
class Interpreter:
    """Reads what came in; whatever is wrong with one of them is no matter of the others."""

    signer: TokenSigner
    providers: Mapping[str, Sequence[Events]]

    def read(self, raw: Raw) -> Read:
        """Say what it tells of; a reader that fails leaves it `broken`, with the reason."""
        try:
            return self._read(raw)
        except Exception as error:  # noqa: BLE001 - hostile input: one that breaks stops no other
            words = clean(f"{type(error).__name__}: {error}", _LONGEST_REASON)
            return Read(raw, (), words, RawState.BROKEN)

    def _read(self, raw: Raw) -> Read:
        if raw.source == MAIL:
            return self._mail(raw)
        if raw.source == RELAY:
            return Read(raw, (self._refusal(raw),))
        known = self.providers.get(raw.source)
        if not known:
            why = f"no relay of newsletter.toml is of the kind {raw.source}"
            return Read(raw, (), why, RawState.BROKEN)
        events = enumerate(known[0].read(raw.body))
        return Read(raw, tuple(self._event(raw, at, one) for at, one in events))

    # ── providers ────────────────────────────────────────────────────────────────────────────

    def _event(self, raw: Raw, place: int, event: ProviderEvent) -> Told:
        kind = EventKind(event.kind)
        tied = of_token(self.signer, event.token) if event.token else UNTIED
        fault, rule = _fault(event) if kind in _JUDGED else (None, event.word)
        plain = kind not in _ADDRESSED
        return Told(
            source=raw.source,
            key=_key(event.key) or f"{raw.id}#{place}",
            kind=kind,
            at=_time(event.at, raw.received_at),
            raw_id=raw.id,
            received_at=raw.received_at,
            proof=tied.proof,
            delivery_id=tied.delivery_id,
            letter_id=tied.letter_id,
            fault=fault,
            status=clean(event.status, 20),
            reason=_reason(event.reason or (event.word if kind is EventKind.REJECTED else "")),
            rule=clean(rule, 100),
            addresses=() if plain or not event.address else (clean(event.address, 320),),
        )

    def _refusal(self, raw: Raw) -> Told:
        told = json.loads(raw.body)
        verdict = judge(told["reason"])
        return Told(
            source=RELAY,
            key=raw.key,
            kind=EventKind.BOUNCED,
            at=raw.received_at,
            raw_id=raw.id,
            received_at=raw.received_at,
            proof=Proof.TOKEN,  # the ledger's own word
            delivery_id=told.get(DELIVERY),
            letter_id=told.get(LETTER),
            fault=verdict.fault,
            status=verdict.status,
            reason=_reason(told["reason"]),
            rule=verdict.rule,
        )

    # ── mails ────────────────────────────────────────────────────────────────────────────────

    def _mail(self, raw: Raw) -> Read:
        reading = read_mail(raw.body)
        note = clean(f"{reading.kind}: {reading.reason}", _LONGEST_REASON)
        if reading.kind is Kind.UNSUBSCRIBE:
            claim = by_mail.read_mail(raw.body, self.signer)
            tied = Tied(Proof.FORGED if claim is None else Proof.TOKEN, claim=claim)
            return Read(raw, (_told(raw, EventKind.UNSUBSCRIBED, tied, reading),), note)
        if reading.kind not in _KINDS:
            return Read(raw, (), note)
        tied = of_ties(self.signer, reading.ties)
        return Read(raw, (_told(raw, _KINDS[reading.kind], tied, reading),), note)


def _told(raw: Raw, kind: EventKind, tied: Tied, reading: Reading) -> Told:
    # A message of ours has one reader; of several that a report names, the least grave is believed.
    about = reading.about("")
    bounce = kind is EventKind.BOUNCED
    return Told(
        source=MAIL,
        key=raw.key,
        kind=kind,
        at=raw.received_at,
        raw_id=raw.id,
        received_at=raw.received_at,
        proof=tied.proof,
        delivery_id=tied.delivery_id,
        letter_id=tied.letter_id,
        claim=tied.claim,
        fault=(about.fault if about else Fault.TECHNICAL) if bounce else None,
        status=clean(about.status, 20) if about else "",
        reason=_reason(about.reason if about else reading.reason),
        rule=clean(about.rule, 100) if about and bounce else "",
        feedback=clean(reading.feedback, 40),
        addresses=tuple(clean(one.address, 320) for one in reading.recipients if one.address),
        message_ids=reading.ties.message_ids,
    )


# ── whose fault ──────────────────────────────────────────────────────────────────────────────


def _fault(event: ProviderEvent) -> tuple[Fault, str]:
    """Weigh the words of the refusing server with what the provider makes of them.

    Words that we know decide, except that nothing is hard which the provider calls temporary.
    """
    fault, rule = _judged(str(event.reason)[:2000], str(event.status)[:20])
    if rule == "no-rule" and event.permanent is not None:
        return (Fault.HARD if event.permanent else Fault.SOFT), f"the provider's {event.word}"
    if fault is Fault.HARD and event.permanent is False:
        return Fault.SOFT, f"{rule}, but the provider's {event.word}"
    return fault, rule


@lru_cache(maxsize=4096)
def _judged(reason: str, status: str) -> tuple[Fault, str]:
    verdict = judge(reason, status)
    return verdict.fault, verdict.rule


# ── hostile values ───────────────────────────────────────────────────────────────────────────


def clean(value: object, longest: int) -> str:
    """Return a text that every database and terminal takes: one line, no more than so long."""
    text = value if isinstance(value, str) else str(value)
    text = text[: 4 * longest]
    if not (text.isascii() and text.isprintable()):
        text = text.encode("utf-8", "replace").decode("utf-8")
        text = _CONTROL.sub(" ", text).strip()
    return text[:longest]


def _reason(text: object) -> str:
    """Return what was said without addresses: they would outlive their owner's erasure."""
    line = clean(text, 2 * _LONGEST_REASON)
    if "@" not in line:
        return line
    # Servers write most addresses between brackets.
    return _ADDRESS.sub("<address>", line).replace("<<address>>", "<address>")[:_LONGEST_REASON]


def _key(key: object) -> str:
    """Return a provider's key; one that is long, or holds an address, as a hash."""
    text = key if isinstance(key, str) else str(key)
    if len(text) <= _LONGEST_KEY and "@" not in text and text.isascii() and text.isprintable():
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _time(at: object, received_at: int) -> int:
    """Return when it happened; what cannot be is when we were told."""
    good = isinstance(at, int | float) and 0 < at <= received_at + _DAY
    return int(at) if good and isinstance(at, int | float) else received_at
