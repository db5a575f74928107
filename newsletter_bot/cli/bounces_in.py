"""Mails on their way in: `bounces ingest` and `bounces poll`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from newsletter_bot.alerts import Alerts
from newsletter_bot.cli.session import Session
from newsletter_bot.errors import (
    BusyError,
    ConfigurationError,
    DataError,
    NewsletterError,
    TryAgainError,
    UnavailableError,
)
from newsletter_bot.feedback.events.came_store import Came, came
from newsletter_bot.feedback.events.happened import RawState
from newsletter_bot.feedback.events.intake import key_of_mail
from newsletter_bot.feedback.mailboxes import MailboxError
from newsletter_bot.feedback.mailboxes.kinds.maildir import content, files
from newsletter_bot.feedback.mailboxes.mbox import mails
from newsletter_bot.feedback.mailboxes.visits import Visited
from newsletter_bot.feedback.mails.read import read_mail

STANDARD_INPUT = Path("-")
_AT_ONCE = 100  # mails between two looks at what they led to
_PIPED = "The mail is not lost: the mail server keeps it, and tries again."


@dataclass(frozen=True, slots=True)
class _Kept:
    """A mail that is on disk, and what it says."""

    key: str
    new: bool
    kind: str
    addresses: tuple[str, ...]
    reason: str

    @classmethod
    def of(cls, body: bytes, *, new: bool) -> _Kept:
        reading = read_mail(body)
        about = reading.about("")
        addresses = tuple(one.address for one in reading.recipients if one.address)
        reason = about.reason if about else reading.reason
        return cls(key_of_mail(body), new, reading.kind, addresses, reason)


def ingest(session: Session, path: Path) -> None:
    """Take in what a file, a folder or standard input holds.

    Whatever goes wrong with standard input ends in "try again": any other code would have the mail
    server send the mail back to whoever returned it to us.
    """
    if path != STANDARD_INPUT:
        _take_in(session, _mails_of(path))
        return
    try:
        _take_in(session, mails(sys.stdin.buffer))
    except TryAgainError:
        raise
    except NewsletterError as error:
        raise TryAgainError(error.message, f"{error.next_step} {_PIPED}".strip()) from error
    except Exception as error:
        raise TryAgainError(f"{type(error).__name__}: {error}.", _PIPED) from error


def _mails_of(path: Path) -> Iterator[bytes]:
    try:
        if path.is_dir():
            for one in files(path):
                yield content(one)
            return
        with path.open("rb") as stream:
            yield from mails(stream)
    except MailboxError as error:
        raise DataError(f"{error.reason}.", "Name a mail, an mbox or a Maildir.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _take_in(session: Session, bodies: Iterable[bytes]) -> None:
    shown: list[dict[str, Any]] = []
    kept: list[_Kept] = []
    for body in bodies:
        kept.append(_Kept.of(body, new=session.bot.intake.keep_mail(body)))
        if len(kept) == _AT_ONCE:
            shown += _show(session, kept)
            kept.clear()
    shown += _show(session, kept)
    new = sum(one["new"] for one in shown)
    session.emit({"read": len(shown), "new": new, "known": len(shown) - new, "results": shown})
    session.console.print(f"{len(shown):,} read: {new:,} new, {len(shown) - new:,} known before")


def _show(session: Session, kept: list[_Kept]) -> list[dict[str, Any]]:
    """Act on mails, and say what came of each."""
    if not kept:
        return []
    _work(session)
    found = came(session.bot.engine, [one.key for one in kept])
    shown = [_result(one, found.get(one.key, Came())) for one in kept]
    for one in shown:
        session.console.print(_line(one))
    return shown


def _work(session: Session) -> None:
    """Do what follows; where that fails, `run` does it: the mails are on disk."""
    bot = session.bot
    alerts = Alerts(bot.engine, bot.settings.alerts, bot.settings.folder)

    def say(key: str, title: str, text: str) -> None:
        session.console.print(f"[bold]{escape(title)}[/]: {escape(text)}")
        alerts.say(key, title, text)

    try:
        bot.feedback.work(say)
    except NewsletterError as error:
        session.console.print(f"[yellow]kept, and not acted on yet:[/] {escape(error.message)}")


def _result(kept: _Kept, became: Came) -> dict[str, Any]:
    return {
        "new": kept.new,
        "kind": kept.kind,
        "addresses": list(kept.addresses),
        "class": became.fault,
        "issue": became.issue,
        "consequence": became.consequence,
        "state": became.state.value,
        "reason": became.note if became.state is RawState.BROKEN else kept.reason,
    }


def _line(one: dict[str, Any]) -> str:
    who = ", ".join(one["addresses"][:3]) or "nobody named"
    kind = " ".join(word for word in (one["class"], one["kind"]) if word)
    led = one["consequence"] or ("nothing follows" if one["state"] == "read" else _WAITING)
    said = f" ({one['reason'][:160]})" if one["reason"] else ""
    known = "" if one["new"] else " [known before]"
    return escape(f"{kind}: {who}: {led}{said}{known}")


_WAITING = "kept; `run` acts on it"


# ── mailboxes ────────────────────────────────────────────────────────────────────────────────


def poll(session: Session, name: str | None) -> None:
    """Read mailboxes now, and say what was found."""
    mailboxes = session.bot.mailboxes
    kept: list[_Kept] = []
    ended: list[Visited] = []
    wrong: list[ConfigurationError] = []  # the others are read all the same

    def heard(body: bytes, new: bool) -> None:  # noqa: FBT001 - as it is called
        kept.append(_Kept.of(body, new=new))

    for one in mailboxes.names(name):
        try:
            ended.append(mailboxes.visit(one, heard=heard))
        except BusyError as error:
            if name is not None:
                raise
            session.console.print(f"[yellow]{one}[/]: {escape(error.message)}")
        except ConfigurationError as error:
            wrong.append(error)
    results = [
        result
        for at in range(0, len(kept), _AT_ONCE)
        for result in _show(session, kept[at : at + _AT_ONCE])
    ]
    session.emit({"mailboxes": [_visited(one) for one in ended], "results": results})
    for visited in ended:
        session.console.print(_summary(visited))
    if not mailboxes.names():
        session.console.print(escape("newsletter.toml has no [[mailboxes]]."))
    if wrong:
        raise wrong[0]
    _complain([one for one in ended if one.reason])


def _visited(one: Visited) -> dict[str, Any]:
    return {
        "name": one.name,
        "new": one.found.new,
        "known": one.found.known,
        "moved": one.found.moved,
        "missed": one.found.missed,
        "more": one.found.more,
        "remark": one.found.remark,
        "reason": one.reason,
        "failures": one.failures,
    }


def _summary(one: Visited) -> str:
    found = one.found
    text = f"{found.new:,} new, {found.known:,} known before, {found.moved:,} moved"
    if found.more:
        text += "; more are left for the next visit"
    if found.remark:
        text += f"; {found.remark}"
    mark = "[red]✗[/]" if one.reason else "[green]✓[/]"
    return f"{mark} {one.name}: {escape(one.reason + '; ' if one.reason else '')}{escape(text)}"


def _complain(failed: list[Visited]) -> None:
    if not failed:
        return
    said = "\n".join(f"The mailbox {one.name} cannot be read: {one.reason}." for one in failed)
    if all(one.lasting for one in failed):
        raise UnavailableError(said, "Correct [[mailboxes]]: docs/mailboxes.md tells how.")
    raise TryAgainError(said, "What was read is kept; the next visit goes on from there.")
