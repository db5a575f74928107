"""One person: show, add, unsubscribe, suppress, forget; and what time takes of all of them."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.cli.who import chosen_list, divided, explained, known_fields, list_option
from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.subscribers.address import has_control, parse_address
from newsletter_bot.subscribers.by_mail import read_mail
from newsletter_bot.subscribers.model import AddOutcome, NewSubscriber, Person
from newsletter_bot.subscribers.people import By, SignupRequest

_OUTCOMES = {
    AddOutcome.ADDED: "added",
    AddOutcome.UPDATED: "updated",
    AddOutcome.UNCHANGED: "there already",
    AddOutcome.UNSUBSCRIBED: "[yellow]not added[/], they unsubscribed: ask them with --confirm",
    AddOutcome.SUPPRESSED: "[yellow]not added[/], the address is suppressed",
    AddOutcome.PENDING: "not confirmed yet",
}
_MOST_MAIL = 1024 * 1024  # bytes; what is asked for stands in the header


@click.command()
@click.argument("address")
@click.option("--name", default="", help="The person's name.")
@list_option
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="A field of yours.")
@click.option("--confirm", is_flag=True, help="Ask them by mail, instead of at once.")
@pass_session
def add(  # noqa: PLR0913 - one for each thing that may be said of a person
    session: Session,
    address: str,
    *,
    name: str,
    list_id: str | None,
    fields: tuple[str, ...],
    confirm: bool,
) -> None:
    """Add one person to a list."""
    own = dict(divided(one.partition("=")) for one in fields)
    known_fields(own, {"first_name", *session.bot.settings.subscribers.fields})
    if any(map(has_control, (name, *own.values()))):
        raise DataError("A line break or control character in a name or field.")
    with explained():
        person = NewSubscriber(parse_address(address), name, "", own)
    chosen = chosen_list(session, list_id)
    if confirm:
        _invite(session, person, chosen)
        return
    consent = {"source": "added by the operator"}
    outcome = session.bot.people.subscribe(person, chosen, consent, By.OPERATOR)
    session.emit({"address": person.address.text, "list": chosen, "outcome": outcome})
    session.console.print(f"{escape(person.address.text)}: {_OUTCOMES[outcome]} ({escape(chosen)})")


def _invite(session: Session, person: NewSubscriber, chosen: str) -> None:
    if person.fields:
        raise UsageError("--confirm and --field: fields are kept once somebody is added.")
    people = session.bot.people
    with explained():
        people.invite(SignupRequest(person.address.text, (chosen,), person.name))
    people.settle()
    session.emit({"address": person.address.text, "list": chosen, "outcome": "asked"})
    session.console.print(
        f"{escape(person.address.text)}: asked to confirm ({escape(chosen)}); the service sends "
        "the letter, once a day to one address at most"
    )


@click.command()
@click.argument("address")
@click.option("--export", is_flag=True, help="Print all that is held about them, as JSON.")
@pass_session
def show(session: Session, address: str, *, export: bool) -> None:
    """Show what is known about one address."""
    if export:
        _export(session, address)
        return
    with explained():
        person = session.bot.subscribers.find(address)
        reason = session.bot.subscribers.suppression_of(address)
    session.emit(_person_json(address, person, reason))
    if person is None:
        words = f"suppressed: {reason}" if reason is not None else "unknown"
        session.console.print(f"{escape(address)}: {escape(words)}")
        return
    session.console.print(_person_table(session, person, reason))


def _export(session: Session, address: str) -> None:
    with explained():
        held = session.bot.people.dossier(address)
    if held is None:
        raise DataError("Nothing is held about that address.")
    click.echo(json.dumps(held, ensure_ascii=False, indent=2))


def _person_table(session: Session, person: Person, reason: str | None) -> Table:
    zone = session.bot.settings.newsletter.zone
    table = Table(box=None, show_header=False)
    table.add_row("address", escape(person.subscriber.address))
    table.add_row("name", escape(person.subscriber.name))
    if person.subscriber.language:
        table.add_row("language", escape(person.subscriber.language))
    for name, value in person.subscriber.fields.items():
        table.add_row(escape(name), escape(value))
    for one in person.subscriptions:
        since = datetime.fromtimestamp(one.changed_at, zone)
        source = one.consent.get("source", "")
        table.add_row(
            escape(one.list), f"{one.state} since {since:%Y-%m-%d %H:%M}, {escape(source)}"
        )
    choices = session.bot.people.choices(person.subscriber.id)
    if choices is not None and choices.paused_until is not None:
        until = datetime.fromtimestamp(choices.paused_until, zone)
        table.add_row("paused", f"until {until:%Y-%m-%d %H:%M}")
    if choices is not None:
        table.add_row("frequency", choices.frequency)
    if reason is not None:
        table.add_row("suppressed", f"[red]{escape(reason)}[/]")
    return table


@click.command()
@click.argument("address", default="")
@list_option
@click.option("--mail", metavar="FILE", help="A mail to unsub+TOKEN@…; - is standard input.")
@pass_session
def unsubscribe(session: Session, address: str, list_id: str | None, mail: str | None) -> None:
    """End an address's subscription to one list, or to all; or do what a mail asks for."""
    if mail is not None:
        if address or list_id:
            raise UsageError("--mail says by itself whom and which list.")
        _unsubscribe_by_mail(session, mail)
        return
    if not address:
        raise UsageError("Say whom: an address, or --mail FILE.")
    lists = [chosen_list(session, list_id)] if list_id else []
    with explained():
        count = session.bot.people.unsubscribe(address, lists)
    session.emit({"address": address, "unsubscribed": count})
    session.console.print(f"{escape(address)}: {count} subscription{'s' * (count != 1)} ended")


def _unsubscribe_by_mail(session: Session, mail: str) -> None:
    # What Postfix tells a command of the envelope: local(8), "EXTERNAL COMMAND DELIVERY".
    told = [os.environ.get(name, "") for name in ("ORIGINAL_RECIPIENT", "RECIPIENT")]
    claim = read_mail(_bytes_of(mail), session.bot.signer, told)
    if claim is None:
        raise DataError("That mail asks for no unsubscription of ours.", "Nothing was changed.")
    count = session.bot.people.unsubscribe_claim(claim, By.MAILTO)
    session.emit({"address": None, "unsubscribed": count})
    session.console.print(f"{count} subscription{'s' * (count != 1)} ended")


def _bytes_of(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(_MOST_MAIL)
    try:
        with Path(name).open("rb") as file:
            return file.read(_MOST_MAIL)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror}.") from error


@click.command()
@click.argument("address")
@click.option("--reason", required=True, help="Why, for those who ask later.")
@pass_session
def suppress(session: Session, address: str, reason: str) -> None:
    """Never mail an address again, whatever the lists say; it need not be known."""
    if not reason.strip() or has_control(reason):
        raise UsageError("--reason: write one line of text.")
    with explained():
        session.bot.people.suppress(address, reason)
    session.emit({"address": address, "suppressed": reason})
    session.console.print(f"{escape(address)}: suppressed ({escape(reason)})")


@click.command()
@click.argument("address")
@pass_session
def unsuppress(session: Session, address: str) -> None:
    """Let an address be mailed again, when it is subscribed."""
    with explained():
        was = session.bot.people.unsuppress(address)
    session.emit({"address": address, "unsuppressed": was})
    words = "may be mailed again" if was else "was not suppressed"
    session.console.print(f"{escape(address)}: {words}")


@click.command()
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def forget(session: Session, address: str, *, yes: bool) -> None:
    """Erase all about a person, but the keyed hash that keeps mail from them."""
    with explained():
        parse_address(address)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("Erasing cannot be undone, and nobody is here to ask.", "Add --yes.")
        click.confirm(f"Erase all about {address}?", abort=True)
    people = session.bot.people
    found = people.forget(address)
    people.wipe()
    session.emit({"address": address, "forgotten": found})
    words = "forgotten" if found else "nothing was held"
    session.console.print(f"{escape(address)}: {words}; it is never mailed again")


@click.command()
@pass_session
def purge(session: Session) -> None:
    """Delete requests that nobody confirmed, and what else is past its time."""
    counts = {**session.bot.people.purge(), "letters": session.bot.letters.purge()}
    session.emit(dict(counts))
    for name, count in counts.items():
        session.console.print(f"{count:,} {name.replace('_', ' ')}")


def _person_json(address: str, person: Person | None, reason: str | None) -> dict[str, Any]:
    if person is None:
        return {"address": address, "known": False, "suppressed": reason}
    return {
        "address": person.subscriber.address,
        "known": True,
        "name": person.subscriber.name,
        "language": person.subscriber.language,
        "fields": dict(person.subscriber.fields),
        "subscriptions": [
            {
                "list": one.list,
                "state": one.state,
                "changed_at": one.changed_at,
                "consent": dict(one.consent),
            }
            for one in person.subscriptions
        ],
        "suppressed": reason,
    }
