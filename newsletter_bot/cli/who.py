"""How commands on people name whom and what they mean: lists, fields, addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from newsletter_bot.cli.session import Session
from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.subscribers.address import AddressError

list_option = click.option("--list", "list_id", metavar="ID", help="The mailing list.")


def chosen_list(session: Session, name: str | None) -> str:
    """Return the list that is named, or the only one; raises UsageError."""
    known = [one.id for one in session.bot.settings.lists]
    if name is None and (len(known) == 1 or "weekly" in known):
        return known[0] if len(known) == 1 else "weekly"
    if name not in known:
        said = f"There is no list {name!r}." if name else "Say which list: --list ID."
        raise UsageError(said, f"Known lists: {', '.join(known)}.")
    return name


def divided(pair: tuple[str, str, str]) -> tuple[str, str]:
    """Return NAME and VALUE of NAME=VALUE, divided already; raises UsageError."""
    name, equals, value = pair
    if not equals or not name:
        raise UsageError(f"{''.join(pair)!r}: write NAME=VALUE.")
    return name, value


def known_fields(names: Iterable[str], known: set[str]) -> None:
    """Raise UsageError for a field that there is not."""
    if unknown := set(names) - known:
        raise UsageError(
            f"There is no field {min(unknown)!r}.",
            f"Fields: {', '.join(sorted(known))}; more in [subscribers] fields.",
        )


@contextmanager
def explained() -> Iterator[None]:
    """Make a DataError of an address that is none."""
    try:
        yield
    except AddressError as error:
        raise DataError(f"That is no address: {error}.") from error


def found_id(session: Session, address: str) -> int:
    """Return the id of somebody known; raises DataError."""
    with explained():
        person = session.bot.subscribers.find(address)
    if person is None:
        raise DataError("Nobody has that address.", "Add them: newsletter-bot subscribers add.")
    return person.subscriber.id
