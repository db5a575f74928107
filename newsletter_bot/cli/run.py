"""The service: `run` until told to stop."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import click

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.service.service import Role, Service


@click.command()
@click.option(
    "--only",
    type=click.Choice([one.value for one in Role]),
    multiple=True,
    help="Only this part; may be given twice. All of them otherwise.",
)
@pass_session
def run(session: Session, only: tuple[str, ...]) -> None:
    """Run web, scheduler and sender until told to stop; then end within 10 s."""
    from newsletter_bot.logs import configure
    from newsletter_bot.web.public import make_public
    from newsletter_bot.web.serving.service import PublicServer

    bot = session.bot
    configure(bot.settings.service.logs, sys.stderr)
    roles = {Role(one) for one in only} or set(Role)
    wait_for_end = _listen_for_signals()
    service = Service(bot, roles)
    server = None
    if Role.WEB in roles:
        app = make_public(bot, service.readiness, service.ring)
        server = PublicServer(app, bot.settings.web)
        server.start()
        session.console.print(f"Listening on {server.address}")
    service.start()
    try:
        wait_for_end()
    finally:
        if server is not None:
            server.begin_to_stop()
        service.stop()
        if server is not None:
            server.stop()
        _leave(session)


def _listen_for_signals() -> Callable[[], object]:
    """Hear SIGINT and SIGTERM from now on; returns what waits for one of them.

    They come through a pipe: Python runs a handler in the main thread alone, which does not wake
    for a signal that arrives just as it begins to wait for an Event (3.11, seen 2026-11).
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    return lambda: os.read(heard, 1)


def _leave(session: Session) -> None:
    """End although a duty is under way that waits for somebody else, as a feed's server.

    Python would wait for its thread. Whatever it writes is a transaction, so that it may end here.
    """
    session.bot.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
