"""The SQL of whom something is about: the message that a token or Message-ID names, its reader."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    and_,
    func,
    select,
)

from newsletter_bot.delivery.provider_events import EventKind
from newsletter_bot.feedback.events.events_store import issues_since
from newsletter_bot.feedback.events.happened import Proof, Told
from newsletter_bot.storage.prepared import Prepared
from newsletter_bot.storage.rows import json_rows
from newsletter_bot.storage.tables import (
    address_changes,
    deliveries,
    issues,
    letters,
    subscribers,
    suppressions,
)
from newsletter_bot.subscribers.address import key_of, suppression_key
from newsletter_bot.subscribers.consent import LetterKind
from newsletter_bot.subscribers.tokens import UnsubscribeClaim, mac

RECENT = 14 * 86_400  # seconds: of older messages an address or a Message-ID says nothing
_ID = 12  # bytes of a Message-ID that tell one message of an issue from the others
_MOST_ADDRESSES = 5  # of one report that are looked up


@dataclass(frozen=True, slots=True)
class Subject:
    """A message that was sent, and its reader as they are now."""

    person: int | None
    address: str
    hashed: bytes  # under which the address is suppressed
    suppression: str | None
    erased: bool = False
    mailed_at: int | None = None
    delivery_id: int | None = None
    issue_id: int | None = None
    issue: str = ""
    list: str = ""
    state: str = ""
    said: str = ""  # what the relay answered, as the ledger has it
    letter: bool = False
    moved: bool = False


class Subjects:
    """Looks messages up within one transaction, many at a time where there are many."""

    def __init__(self, secret: bytes, now: int) -> None:
        self._secret = secret
        self._now = now

    def find(
        self, connection: Connection, told: Sequence[Told]
    ) -> list[tuple[Told, Subject | None]]:
        """Return each with the message it is about; what ties it may have become surer."""
        ids = {one.delivery_id for one in told if one.delivery_id is not None}
        known = self._of_deliveries(connection, ids)
        found = [self._of(connection, one, known) for one in told]
        return self._with_moves(connection, found)

    def _of(
        self, connection: Connection, told: Told, known: Mapping[int, Subject]
    ) -> tuple[Told, Subject | None]:
        if told.delivery_id is not None:
            return told, known.get(told.delivery_id)
        if told.letter_id is not None:
            return told, self._of_letter(connection, told.letter_id)
        if told.claim is not None:
            return self._by_claim(connection, told, told.claim)
        if told.proof is Proof.NONE:
            return self._by_address(connection, told)
        return told, None

    def _of_deliveries(self, connection: Connection, ids: set[int]) -> dict[int, Subject]:
        if not ids:
            return {}
        found = _OF_DELIVERIES.run(connection, rows=_json(ids)).fetchall()
        return {row[0]: _subject(row) for row in found}

    def _of_letter(self, connection: Connection, number: int) -> Subject | None:
        query = select(letters).where(letters.c.id == number)
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        hashed = suppression_key(self._secret, row["address_key"])
        shut = select(suppressions.c.reason).where(suppressions.c.suppression_key == hashed)
        return Subject(
            person=row["subscriber_id"],
            address=row["address"],
            hashed=hashed,
            suppression=connection.execute(shut).scalar(),
            mailed_at=row["attempted_at"],
            letter=True,
            moved=row["kind"] == LetterKind.MOVED,
        )

    # ── without a message's own token ────────────────────────────────────────────────────────

    def _by_claim(
        self, connection: Connection, told: Told, claim: UnsubscribeClaim
    ) -> tuple[Told, Subject | None]:
        """Look for the one who may unsubscribe by a link, which is the same in all their messages.

        It stands in what readers pass on as well, so that it proves nothing else by itself.
        """
        recent = self._recent(connection, claim.subscriber_id)
        found = None if told.kind is EventKind.UNSUBSCRIBED else self._named(told, recent)
        if found:
            return found
        if recent:
            newest = recent[0][0]
            return told, newest if told.kind is not EventKind.BOUNCED else _unnamed(newest)
        row = connection.execute(_person().where(subscribers.c.id == claim.subscriber_id)).first()
        return told, None if row is None else _alone(row)

    def _by_address(self, connection: Connection, told: Told) -> tuple[Told, Subject | None]:
        """Look for somebody who was written to lately; a Message-ID of ours proves which it was."""
        for address in told.addresses[:_MOST_ADDRESSES]:
            person = _id_of(connection, address)
            recent = [] if person is None else self._recent(connection, person)
            found = self._named(told, recent)
            if found:
                return found
            if recent:
                return replace(told, proof=Proof.ADDRESS), _unnamed(recent[0][0])
        return told, None

    def _named(
        self, told: Told, recent: Iterable[tuple[Subject, int | None]]
    ) -> tuple[Told, Subject] | None:
        shown = {one.rpartition("@")[0].lower() for one in told.message_ids}
        for subject, variant in recent:
            if self._name(subject, variant) in shown:
                number = subject.delivery_id
                proved = replace(told, proof=Proof.MESSAGE_ID, delivery_id=number, claim=None)
                return proved, subject
        return None

    def _name(self, subject: Subject, variant: int | None) -> str:
        """Return a message's Message-ID up to its domain, as the composer makes it."""
        state = mac(self._secret, b"message-id", _ID)
        state.update(subject.issue.encode() + b":%d" % (subject.person or 0))
        if variant:
            state.update(b".%d" % variant)
        return f"{subject.issue.lower()}.{state.hexdigest()}"

    def _recent(self, connection: Connection, person: int) -> list[tuple[Subject, int | None]]:
        """Return what was sent to somebody lately, the newest first."""
        since = self._now - RECENT
        query = (
            _messages()
            .add_columns(deliveries.c.variant)
            .where(
                deliveries.c.issue_id.in_(issues_since(connection, since)),
                deliveries.c.subscriber_id == person,
                deliveries.c.attempted_at >= since,
            )
        )
        rows = connection.execute(query.order_by(deliveries.c.attempted_at.desc())).all()
        return [(_subject(row), row[-1]) for row in rows]

    def _with_moves(
        self, connection: Connection, found: Iterable[tuple[Told, Subject | None]]
    ) -> list[tuple[Told, Subject | None]]:
        """Note whose address is another one than the message went to."""
        pairs = list(found)
        people = {one.person for _, one in pairs if one is not None and one.person is not None}
        if not people:
            return pairs
        rows = _MOVES.run(connection, rows=_json(people)).fetchall()
        moves = {row[0]: row[1] for row in rows}
        return [(told, one and _moved(one, moves)) for told, one in pairs] if moves else pairs


def _moved(subject: Subject, moves: Mapping[int, int]) -> Subject:
    if subject.person is None or subject.mailed_at is None or subject.letter:
        return subject
    return replace(subject, moved=moves.get(subject.person, -1) > subject.mailed_at)


def _unnamed(subject: Subject) -> Subject:
    """Return a reader of whom nothing says which message it is about."""
    return replace(subject, delivery_id=None, issue_id=None)


def _id_of(connection: Connection, address: str) -> int | None:
    try:
        key = key_of(address)
    except ValueError:  # a domain that is none
        return None
    query = select(subscribers.c.id).where(subscribers.c.address_key == key)
    found: int | None = connection.execute(query).scalar()
    return found


def _messages() -> Select[Any]:
    return (
        select(
            deliveries.c.id,
            deliveries.c.issue_id,
            deliveries.c.subscriber_id,
            deliveries.c.list,
            deliveries.c.state,
            deliveries.c.reason,
            deliveries.c.attempted_at,
            issues.c.identity,
            subscribers.c.address,
            subscribers.c.suppression_key,
            subscribers.c.erased_at,
            suppressions.c.reason.label("suppression"),
        )
        .join(issues, issues.c.id == deliveries.c.issue_id)
        .join(subscribers, subscribers.c.id == deliveries.c.subscriber_id)
        .outerjoin(suppressions, suppressions.c.suppression_key == subscribers.c.suppression_key)
    )


def _subject(row: Sequence[Any]) -> Subject:
    return Subject(
        delivery_id=row[0],
        issue_id=row[1],
        person=row[2],
        list=row[3],
        state=row[4],
        said=row[5],
        mailed_at=row[6],
        issue=row[7],
        address=row[8],
        hashed=bytes(row[9]),
        erased=row[10] is not None,
        suppression=row[11],
    )


def _person() -> Select[Any]:
    same = suppressions.c.suppression_key == subscribers.c.suppression_key
    return select(
        subscribers.c.id,
        subscribers.c.address,
        subscribers.c.suppression_key,
        subscribers.c.erased_at,
        suppressions.c.reason,
    ).outerjoin(suppressions, same)


def _alone(row: Sequence[Any]) -> Subject:
    return Subject(row[0], row[1], bytes(row[2]), row[4], erased=row[3] is not None)


def _chosen(dialect: str) -> Select[Any]:
    row = json_rows(dialect, id=BigInteger)
    return _messages().where(deliveries.c.id.in_(select(row["id"])))


def _moves(dialect: str) -> Select[Any]:
    row = json_rows(dialect, id=BigInteger)
    theirs = and_(
        address_changes.c.subscriber_id.in_(select(row["id"])),
        address_changes.c.done_at.is_not(None),
    )
    person = address_changes.c.subscriber_id
    return select(person, func.max(address_changes.c.done_at)).where(theirs).group_by(person)


def _json(ids: Iterable[int | None]) -> str:
    return json.dumps([{"id": one} for one in ids])


_OF_DELIVERIES = Prepared(_chosen)
_MOVES = Prepared(_moves)
