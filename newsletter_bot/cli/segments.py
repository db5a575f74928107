"""Commands on segments: segments list, show and explain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.subscribers.address import AddressError
from newsletter_bot.subscribers.segment_explain import Told, in_words
from newsletter_bot.subscribers.segment_query import to_query
from newsletter_bot.subscribers.segment_rules import Group, Rule, Segment
from newsletter_bot.subscribers.segment_table import to_table
from newsletter_bot.subscribers.segments import FOLDER, Measurement


@click.group()
def segments() -> None:
    """Rules about people: whom an issue is for, and why somebody is among them or not."""


@segments.command(name="list")
@pass_session
def list_(session: Session) -> None:
    """List every segment, with how many people match; exits 65 when a file has an error."""
    found = [_listed(session, name) for name in session.bot.segments.names()]
    session.emit({"segments": found})
    if not found:
        session.console.print(f"There are none: write files like {FOLDER / 'supporters.toml'}.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Segment")
    table.add_column("Matching", justify="right")
    table.add_column("Title")
    for one in found:
        count = "-" if one["matching"] is None else f"{one['matching']:,}"
        table.add_row(escape(one["name"]), count, escape(one["title"] or one["trouble"]))
    session.console.print(table)
    if any(one["trouble"] for one in found):
        raise SystemExit(DataError.exit_code)


@segments.command()
@click.argument("name")
@pass_session
def show(session: Session, name: str) -> None:
    """Show the rules of segment NAME in words and as a query."""
    segment = session.bot.segments.load(name)
    query = to_query(segment)
    session.emit({"name": name, **_head(segment), "rules": _rules(segment), "query": query})
    session.console.print(f"[bold]{escape(name)}[/]  {escape(segment.title)}")
    if segment.description:
        session.console.print(escape(segment.description))
    for depth, rule in _lines(segment.rule):
        session.console.print(f"{'  ' * depth}{escape(in_words(rule))}")
    session.console.print(f"As a query: {escape(query)}")


@segments.command()
@click.argument("words", nargs=-1, metavar="[NAME] [ADDRESS]")
@click.option("--query", metavar="QUERY", help="Rules as a query, like tag=beta, instead of NAME.")
@pass_session
def explain(session: Session, words: tuple[str, ...], query: str | None) -> None:
    """Tell how many match segment NAME and which rule cuts; why ADDRESS does or does not."""
    named = int(query is None)
    if not named <= len(words) <= named + 1:
        raise UsageError(
            "Name a segment, or give its rules with --query; an address may follow.",
            "newsletter-bot segments explain supporters ada@example.com",
        )
    bot = session.bot
    segment = bot.segments.load(words[0]) if query is None else bot.segments.parse_query(query)
    if len(words) > named:
        _explain_person(session, segment, words[-1])
        return
    measured = bot.segments.measure(segment)
    session.emit({"name": segment.name, "query": to_query(segment), **measured.to_json()})
    _show_measured(session, segment, measured)


def _explain_person(session: Session, segment: Segment, address: str) -> None:
    try:
        told = session.bot.segments.explain(segment, address)
    except AddressError as error:
        raise DataError(f"That is no address: {error}.") from error
    if told is None:
        raise DataError(f"Nobody with the address {address} is known.")
    answer = {"name": segment.name, "query": to_query(segment), "address": address}
    session.emit({**answer, "matching": told.met, "rules": told.to_json()["parts"]})
    verdict = "[green]matches[/]" if told.met else "[red]does not match[/]"
    session.console.print(f"{escape(address)} {verdict}: {told.why}.")
    for depth, one in _told_lines(told):
        mark = "[green]✓[/]" if one.met else "[red]✗[/]"
        session.console.print(f"{'  ' * depth}{mark} {escape(one.rule)}: {escape(one.why)}")


def _show_measured(session: Session, segment: Segment, found: Measurement) -> None:
    session.console.print(
        f"{found.matching:,} of {found.people:,} people match;"
        f" {found.mailable:,} of them are on a list and not suppressed."
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Rule")
    table.add_column("Alone", justify="right")
    counts = iter(found.rules)
    for depth, rule in _lines(segment.rule):
        count = "" if isinstance(rule, Group) else f"{next(counts)[1]:,}"
        table.add_row(f"{'  ' * depth}{escape(in_words(rule))}", count)
    session.console.print(table)


def _listed(session: Session, name: str) -> dict[str, Any]:
    try:
        segment = session.bot.segments.load(name)
    except DataError as error:
        nothing = {"title": "", "description": "", "matching": None}
        return {"name": name, **nothing, "trouble": error.message}
    count = session.bot.segments.count(segment)
    return {"name": name, **_head(segment), "matching": count, "trouble": ""}


def _head(segment: Segment) -> dict[str, str]:
    return {"title": segment.title, "description": segment.description}


def _rules(segment: Segment) -> dict[str, Any]:
    return {key: value for key, value in to_table(segment).items() if key not in _head(segment)}


def _lines(rule: Rule, depth: int = 0) -> Iterator[tuple[int, Rule]]:
    """Yield every rule with how deep it stands, in order."""
    yield depth, rule
    for one in rule.rules if isinstance(rule, Group) else ():
        yield from _lines(one, depth + 1)


def _told_lines(told: Told, depth: int = 1) -> Iterator[tuple[int, Told]]:
    for one in told.parts:
        yield depth, one
        yield from _told_lines(one, depth + 1)
