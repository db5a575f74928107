"""The SQL of what people chose: lists, name, language, how often, and the operator's tags."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select, update

from newsletter_bot.storage.tables import subscribers
from newsletter_bot.subscribers.consent import By, Choices, Evidence, Frequency
from newsletter_bot.subscribers.given import checked_lists
from newsletter_bot.subscribers.model import SubscriptionState
from newsletter_bot.subscribers.persons_store import PersonRow, states_of
from newsletter_bot.subscribers.transitions_store import Moment, Transitions


def read_choices(connection: Connection, person: int) -> Choices | None:
    """Return what somebody chose; None for nobody, or somebody erased."""
    query = select(subscribers).where(subscribers.c.id == person, subscribers.c.erased_at.is_(None))
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    states = states_of(connection, person)
    active = frozenset(name for name, one in states.items() if one is SubscriptionState.ACTIVE)
    return Choices(
        row["name"], row["language"], Frequency(row["frequency"]), row["paused_until"], active
    )


def read_address(connection: Connection, person: int) -> str | None:
    """Return somebody's address; None for nobody, or somebody erased."""
    query = select(subscribers.c.address).where(
        subscribers.c.id == person, subscribers.c.erased_at.is_(None)
    )
    found: str | None = connection.execute(query).scalar()
    return found


class Choosing:
    """Writes what somebody chose."""

    def __init__(self, transitions: Transitions, joinable: Collection[str]) -> None:
        self._transitions = transitions
        self._joinable = joinable

    def keep(
        self,
        connection: Connection,
        person: PersonRow,
        choices: Choices,
        consent: Mapping[str, str],
        moment: Moment,
    ) -> None:
        """Write it; lists are joined and left as the choices say, and at once.

        Raises DataError for a list that cannot be joined.
        """
        values = {
            "name": choices.name,
            "language": choices.language,
            "frequency": choices.frequency.value,
            "paused_until": choices.paused_until,
        }
        connection.execute(update(subscribers).where(subscribers.c.id == person.id).values(values))
        states = states_of(connection, person.id)
        active = {name for name, one in states.items() if one is SubscriptionState.ACTIVE}
        if new := sorted(choices.lists - active):
            checked_lists(new, self._joinable)
        self._transitions.join(connection, person.id, new, consent, moment)
        if left := sorted(active - choices.lists):
            self._transitions.leave(connection, person.id, left, moment)


def consent_of(evidence: Evidence, moment: Moment) -> dict[str, str]:
    """Return the evidence of a consent as it is recorded; what nobody said is left out."""
    said = {
        "page": evidence.page,
        "wording": evidence.wording,
        "version": evidence.version,
        "prefix": evidence.prefix,
    }
    known = {name: value for name, value in said.items() if value}
    return {"source": _SOURCES.get(moment.by, moment.by.value), "at": str(moment.at), **known}


# What stood in `source` before there were pages: newcomers and scripts know it.
_SOURCES = {By.OPERATOR: "added by the operator"}


def keep_tags(
    connection: Connection, person: PersonRow, add: Collection[str], remove: Collection[str]
) -> tuple[str, ...]:
    """Add and remove an operator's tags; returns all there are now, sorted."""
    query = select(subscribers.c.tags).where(subscribers.c.id == person.id)
    before = connection.execute(query).scalar_one()
    after = sorted((set(before) | set(add)) - set(remove))
    connection.execute(update(subscribers).where(subscribers.c.id == person.id).values(tags=after))
    return tuple(after)
