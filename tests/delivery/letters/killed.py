"""Sends letters, and is killed by itself with SIGKILL at a step.

python -m tests.delivery.letters.killed DATABASE-URL FOLDER PORT STEP
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from newsletter_bot.delivery.letters.letters_store import LettersStore
from newsletter_bot.delivery.letters.sender import Letters
from newsletter_bot.delivery.transports.smtp.session import SmtpSession
from newsletter_bot.delivery.transports.smtp.wire import Wire
from newsletter_bot.settings import Settings
from newsletter_bot.storage.engine import open_engine


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Any, name: str, act: Callable[[], None]) -> None:
    real = getattr(owner, name)

    def wrapped(*words: Any, **more: Any) -> Any:
        act()
        return real(*words, **more)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, act: Callable[[], None]) -> None:
    real = getattr(owner, name)

    def wrapped(*words: Any, **more: Any) -> Any:
        found = real(*words, **more)
        act()
        return found

    setattr(owner, name, wrapped)


STEPS: dict[str, Callable[[], None]] = {
    "begun": lambda: _after(LettersStore, "begin", _kill),
    "before the body": lambda: _before(SmtpSession, "_send_body", _kill),
    "after the dot": lambda: _after(
        SmtpSession, "_send_body", lambda: _after(Wire, "flush", _kill)
    ),
    "answer heard": lambda: _before(LettersStore, "settle", _kill),
    "outcome written": lambda: _after(LettersStore, "settle", _kill),
}


def main(url: str, folder: str, port: str, step: str) -> None:
    from tests.delivery.letters.office import NEWSLETTER, SECRET

    STEPS[step]()
    transport = {"kind": "smtp", "port": int(port), "tls": "none"}
    settings = Settings(folder=Path(folder), newsletter=NEWSLETTER, transport=transport)
    Letters(open_engine(url, Path(folder)), settings, SECRET).send(Event())


if __name__ == "__main__":
    main(*sys.argv[1:])
