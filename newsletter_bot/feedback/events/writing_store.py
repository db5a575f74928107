"""One transaction of the duty `feedback`: events written, what follows done, all marked as read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from newsletter_bot.delivery.changes_store import prove
from newsletter_bot.delivery.provider_events import EventKind
from newsletter_bot.delivery.refusals_store import RELAY
from newsletter_bot.feedback.events import events_store, raw_store
from newsletter_bot.feedback.events.acting_store import Acting, Alert, Rules
from newsletter_bot.feedback.events.consequences import consequence
from newsletter_bot.feedback.events.events_store import UNTIED, Tie
from newsletter_bot.feedback.events.happened import Proof, Read, Told

_Written = tuple[Told, Tie, str]

_LOUD = frozenset(
    {
        EventKind.BOUNCED,
        EventKind.COMPLAINED,
        EventKind.UNSUBSCRIBED,
        EventKind.REJECTED,
    }
)


def write(connection: Connection, rules: Rules, group: Sequence[Read], now: int) -> Sequence[Alert]:
    """Write what a group tells, unless somebody read it meanwhile; returns what operators hear."""
    fresh = raw_store.still_new(connection, (one.raw.id for one in group))
    reads = [one for one in group if one.raw.id in fresh]
    told = {(one.source, one.key): one for read in reads for one in read.told}
    known = events_store.known(connection, told.values()) if told else set()
    news = [one for key, one in told.items() if key not in known]
    acting = Acting(rules, now)
    written = [*_quiet(connection, news, rules), *_loud(connection, news, acting)]
    events_store.write(connection, written)
    _prove(connection, written, now)
    raw_store.settle(connection, reads)
    erased = {one.raw_id for one, tie, _ in written if tie.erased}
    if erased:
        raw_store.forget(connection, erased)
    return list(acting.alerts.values())


def _prove(connection: Connection, written: Sequence[_Written], now: int) -> None:
    """Settle those whose outcome nobody knew: who tells of a message by its token has had it."""
    arrived: dict[str, set[int]] = {}
    for one, tie, _ in written:
        named = one.proof is Proof.TOKEN and one.claim is None  # a link names no message
        if named and one.source != RELAY and tie.delivery_id is not None:
            arrived.setdefault(one.source, set()).add(tie.delivery_id)
    for source, ids in arrived.items():
        prove(connection, ids, f"what came back by {source} shows that it was handed over", now)


def _quiet(connection: Connection, news: Sequence[Told], rules: Rules) -> Iterator[_Written]:
    """Tie those of which nothing follows: most of them, so they cost little."""
    quiet = [one for one in news if one.kind not in _LOUD]
    ids = {one.delivery_id for one in quiet if one.delivery_id is not None}
    found = events_store.ties(connection, ids) if ids else {}
    for one in quiet:
        tie = UNTIED if one.delivery_id is None else found.get(one.delivery_id, UNTIED)
        yield one, tie, str(consequence(one, None, rules.policy))


def _loud(connection: Connection, news: Sequence[Told], acting: Acting) -> Iterator[_Written]:
    loud = [one for one in news if one.kind in _LOUD]
    for one in acting.act(connection, loud) if loud else ():
        yield one.told, one.tie, str(one.consequence)
