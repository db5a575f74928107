"""What a person chose, changed for them by the operator: prefer, move, tag."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import click
from rich.markup import escape

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.cli.who import chosen_list, explained, found_id
from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.subscribers.people import By, Choices, Frequency

_FREQUENCIES = click.Choice([one.value for one in Frequency])


@click.command()
@click.argument("address")
@click.option("--name", help="The person's name.")
@click.option("--language", metavar="TAG", help="In which they are written to: en, ja, …")
@click.option("--frequency", type=_FREQUENCIES, help="Every issue, or a digest each month.")
@click.option("--pause-until", metavar="DATE", help="Send nothing before, like 2026-12-24.")
@click.option("--resume", is_flag=True, help="End a pause.")
@click.option("--list", "lists", multiple=True, metavar="ID", help="On exactly these lists.")
@pass_session
def prefer(  # noqa: PLR0913 - one for each thing that may be chosen
    session: Session,
    address: str,
    *,
    name: str | None,
    language: str | None,
    frequency: str | None,
    pause_until: str | None,
    lists: tuple[str, ...],
    resume: bool,
) -> None:
    """Change what a person chose, as they asked you to; what is not named stays."""
    if resume and pause_until:
        raise UsageError("--pause-until and --resume: say one of them.")
    person = found_id(session, address)
    before = session.bot.people.choices(person)
    assert before is not None, "they were found"
    chosen = frozenset(chosen_list(session, one) for one in lists)
    until = None if resume else before.paused_until
    after = replace(
        before,
        name=before.name if name is None else name,
        language=before.language if language is None else language,
        frequency=Frequency(frequency) if frequency else before.frequency,
        paused_until=_midnight(session, pause_until) if pause_until else until,
        lists=chosen or before.lists,
    )
    session.bot.people.choose(person, after, By.OPERATOR)
    _show(session, address, session.bot.people.choices(person) or after)


def _midnight(session: Session, day: str) -> int:
    try:
        begin = datetime.strptime(day, "%Y-%m-%d").replace(
            tzinfo=session.bot.settings.newsletter.zone
        )
    except ValueError as error:
        raise UsageError(f"--pause-until: {day!r} is no date like 2026-12-24.") from error
    if begin <= datetime.now(UTC):
        raise UsageError("--pause-until: that day has begun already.")
    return int(begin.timestamp())


def _show(session: Session, address: str, choices: Choices) -> None:
    session.emit(
        {
            "address": address,
            "name": choices.name,
            "language": choices.language,
            "frequency": choices.frequency,
            "paused_until": choices.paused_until,
            "lists": sorted(choices.lists),
        }
    )
    words = [choices.frequency, ", ".join(sorted(choices.lists)) or "no list"]
    if choices.paused_until is not None:
        zone = session.bot.settings.newsletter.zone
        words.append(f"paused until {datetime.fromtimestamp(choices.paused_until, zone):%Y-%m-%d}")
    session.console.print(f"{escape(address)}: {escape('; '.join(words))}")


@click.command()
@click.argument("address")
@click.argument("new")
@pass_session
def move(session: Session, address: str, new: str) -> None:
    """Change a person's address: both mailboxes are written to, and both must agree."""
    person = found_id(session, address)
    with explained():
        session.bot.people.ask_address_change(person, new)
    session.emit({"address": address, "new": new, "asked": True})
    session.console.print(f"{escape(address)} and {escape(new)}: asked to agree")


@click.command()
@click.argument("address")
@click.option("--add", "more", multiple=True, metavar="TAG", help="Add a tag.")
@click.option("--remove", "less", multiple=True, metavar="TAG", help="Take a tag away.")
@pass_session
def tag(session: Session, address: str, more: tuple[str, ...], less: tuple[str, ...]) -> None:
    """Add and remove words of yours by which segments find people."""
    if both := set(more) & set(less):
        raise DataError(f"{min(both)!r} is to be added and removed.")
    tags = session.bot.people.set_tags(found_id(session, address), more, less)
    session.emit({"address": address, "tags": list(tags)})
    session.console.print(f"{escape(address)}: {escape(', '.join(tags)) or 'no tags'}")
