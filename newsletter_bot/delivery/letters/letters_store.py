"""The SQL of letters: which are due, what they are about, and what became of them."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    Connection,
    Engine,
    RowMapping,
    Table,
    Update,
    delete,
    func,
    select,
    update,
)

from newsletter_bot.delivery.letters.model import Letter, Matter, Moot
from newsletter_bot.delivery.model import DeliveryState, Outcome
from newsletter_bot.delivery.refusals_store import LETTER, keep_refusals
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import (
    address_changes,
    letters,
    signups,
    subscribers,
    subscriptions,
    suppressions,
)
from newsletter_bot.subscribers.address import key_of, suppression_key
from newsletter_bot.subscribers.consent import LetterKind
from newsletter_bot.subscribers.model import SubscriptionState

_OWED = (DeliveryState.PLANNED.value, DeliveryState.DEFERRED.value)
_OPEN = (*_OWED, DeliveryState.SENDING.value)
_LOST = "the program ended while it was being sent"
_ERASED = Moot("the person was erased")
_CONFIRMED = "confirmed"  # of a sign-up
_DROPPED = "dropped"


class LettersStore:
    """Reads and writes letters; every method is one transaction."""

    def __init__(self, engine: Engine, secret: bytes, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._secret = secret
        self._clock = clock

    def now(self) -> int:
        """Whole seconds since 1970 UTC."""
        return int(self._clock())

    def due(self, most: int) -> list[Letter]:
        """Return letters whose time has come: new ones, the oldest first, then those to retry."""
        # Asked twice: for one question SQLite would sort all that is left (see store.page).
        new = select(letters).where(
            letters.c.state == DeliveryState.PLANNED.value, letters.c.not_before.is_(None)
        )
        tried = select(letters).where(
            letters.c.state.in_(_OWED), letters.c.not_before <= self.now()
        )
        queries = new.order_by(letters.c.id), tried.order_by(letters.c.not_before, letters.c.id)
        with reading(self._engine) as connection:
            found = [connection.execute(one.limit(most)).mappings().all() for one in queries]
        rows = [row for part in found for row in part]
        return [_letter(row) for row in rows[:most]]

    def recover(self) -> int:
        """Settle what a process that is gone left in `sending`, under the lock of letters.

        Nobody can know whether it arrived, so it is never sent again.
        """
        left = letters.c.state == DeliveryState.SENDING.value
        values = {"state": DeliveryState.UNKNOWN.value, "reason": _LOST, "changed_at": self.now()}
        with self._engine.begin() as connection:
            return connection.execute(update(letters).where(left).values(values)).rowcount

    def look(self, letter: Letter) -> Matter | Moot:
        """Return what a letter is about, or why it must not be sent any more."""
        with reading(self._engine) as connection:
            return self._matter(connection, letter)

    def begin(self, letter: Letter) -> Moot | None:
        """Write `sending`, if the letter may still be sent; else return why not.

        It is asked here, in the transaction that says so, whatever was true before.
        """
        now = self.now()
        begun = {
            "state": DeliveryState.SENDING.value,
            "attempts": letters.c.attempts + 1,
            "attempted_at": func.coalesce(letters.c.attempted_at, now),
            "changed_at": now,
        }
        with self._engine.begin() as connection:
            found = self._matter(connection, letter)
            if isinstance(found, Moot):
                return found
            if connection.execute(_still_owed(letter).values(begun)).rowcount:
                return None
            return Moot("somebody settled it already")

    def skip(self, letter: Letter, moot: Moot) -> bool:
        """Settle a letter that must not be sent any more; False when somebody has done so."""
        values = {"state": moot.state.value, "reason": moot.reason, "changed_at": self.now()}
        with self._engine.begin() as connection:
            return connection.execute(_still_owed(letter).values(values)).rowcount > 0

    def settle(self, letter_id: int, outcome: Outcome, not_before: int | None = None) -> None:
        """Write what became of a letter that was begun."""
        values = {
            "state": outcome.state.value,
            "reason": outcome.reason,
            "not_before": not_before,
            "changed_at": self.now(),
        }
        with self._engine.begin() as connection:
            done = connection.execute(_under_way(letter_id).values(values)).rowcount
            if done and outcome.state is DeliveryState.REFUSED:
                keep_refusals(connection, LETTER, {letter_id: outcome.reason}, self.now())

    def release(self, letter_id: int, not_before: int | None = None) -> None:
        """Put back a letter that was begun and certainly did not leave; `not_before` as a try."""
        tries = letters.c.attempts - (1 if not_before is None else 0)
        values = {"state": DeliveryState.PLANNED.value, "attempts": tries, "not_before": not_before}
        with self._engine.begin() as connection:
            connection.execute(_under_way(letter_id).values(values))

    def purge(self, before: int) -> int:
        """Delete letters that came to an end before a time; returns how many."""
        old = letters.c.state.not_in(_OPEN), letters.c.changed_at < before
        with self._engine.begin() as connection:
            return connection.execute(delete(letters).where(*old)).rowcount

    # ── what a letter is about ───────────────────────────────────────────────────────────────

    def _matter(self, connection: Connection, letter: Letter) -> Matter | Moot:
        if not letter.key:
            return Moot("the address cannot be mailed")
        hashed = suppression_key(self._secret, letter.key)
        shut = select(suppressions.c.reason).where(suppressions.c.suppression_key == hashed)
        suppression = connection.execute(shut).scalar()
        if suppression is not None:
            return Moot(f"suppressed: {suppression}")
        match letter.kind:
            case LetterKind.CONFIRM:
                return self._signup(connection, letter)
            case LetterKind.KNOWN:
                return _reader(connection, letter, "")
            case LetterKind.WELCOME:
                return _reader(connection, letter, str(letter.about.get("list", "")))
            case LetterKind.AGREE_OLD:
                return self._change(connection, letter, "old_agreed_at")
            case LetterKind.AGREE_NEW:
                return self._change(connection, letter, "new_agreed_at")
            case LetterKind.MOVED:
                return _moved(connection, letter)
            case _:
                return Moot(f"this version knows no letters of the kind {letter.kind}")

    def _signup(self, connection: Connection, letter: Letter) -> Matter | Moot:
        row = _one(connection, signups, letter.about.get("signup"))
        if row is None:
            return Moot("the sign-up is gone")
        if row["state"] in {_CONFIRMED, _DROPPED}:
            return Moot(f"the sign-up is {row['state']}")
        if row["expires_at"] <= self.now():
            return Moot("the sign-up has expired", DeliveryState.EXPIRED)
        lists = tuple(row["lists"])
        return Matter(row["id"], lists[0] if len(lists) == 1 else "", lists, row["expires_at"])

    def _change(self, connection: Connection, letter: Letter, side: str) -> Matter | Moot:
        row = _one(connection, address_changes, letter.about.get("change"))
        if row is None:
            return Moot("the change of address is gone")
        if row["done_at"] is not None or row[side] is not None:
            return Moot("this side agreed already")
        if row["expires_at"] <= self.now():
            return Moot("the change of address has expired", DeliveryState.EXPIRED)
        if _person(connection, row["subscriber_id"]) is None:
            return _ERASED
        return Matter(row["id"], until=row["expires_at"])


def _reader(connection: Connection, letter: Letter, list_id: str) -> Matter | Moot:
    """Look for somebody who reads this list, or any, at the address that the letter goes to."""
    person = _person(connection, letter.about.get("subscriber"))
    if person is None:
        return _ERASED
    if person["address_key"] != letter.key:
        return Moot("the person has another address now")
    query = select(subscriptions.c.list).where(
        subscriptions.c.subscriber_id == person["id"],
        subscriptions.c.state == SubscriptionState.ACTIVE.value,
    )
    lists = tuple(connection.execute(query.order_by(subscriptions.c.list)).scalars())
    if not lists or (list_id and list_id not in lists):
        return Moot("no longer subscribed")
    return Matter(person["id"], list_id, lists)


def _moved(connection: Connection, letter: Letter) -> Matter | Moot:
    person = _person(connection, letter.about.get("subscriber"))
    return _ERASED if person is None else Matter(person["id"])


def _person(connection: Connection, number: object) -> RowMapping | None:
    row = _one(connection, subscribers, number)
    return row if row is not None and row["erased_at"] is None else None


def _one(connection: Connection, table: Table, number: object) -> RowMapping | None:
    if not isinstance(number, int):
        return None
    query = select(table).where(table.c.id == number)
    return connection.execute(query).mappings().one_or_none()


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def _still_owed(letter: Letter) -> Update:
    return update(letters).where(letters.c.id == letter.id, letters.c.state.in_(_OWED))


def _under_way(letter_id: int) -> Update:
    under_way = letters.c.state == DeliveryState.SENDING.value
    return update(letters).where(letters.c.id == letter_id, under_way)


def _letter(row: RowMapping) -> Letter:
    return Letter(
        id=row["id"],
        kind=row["kind"],
        address=row["address"],
        key=_key(row["address"]),
        language=row["language"],
        about=row["about"],
        attempts=row["attempts"],
        attempted_at=row["attempted_at"],
    )


def _key(address: str) -> str:
    try:
        return key_of(address)
    except ValueError:  # a domain that is none: one bad row must not stop the others
        return ""
