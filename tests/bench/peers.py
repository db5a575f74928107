"""Other ways to send the same messages: Postfix in C, and what the Python libraries offer."""

from __future__ import annotations

import asyncio
import smtplib
import subprocess
import threading
import time
from collections.abc import Callable
from email.message import EmailMessage

import aiosmtplib

from newsletter_bot.rendering.model import Rendering, filled
from tests.bench.sink import postfix

_FROM = "news@news.example.com"


def smtp_source(port: int, sessions: int, size: int, count: int) -> float:
    """Send with Postfix's own load generator, keeping its sessions; returns messages a second."""
    options = ["-d", "-s", str(sessions), "-l", str(size), "-m", str(count)]
    people = ["-f", _FROM, "-t", "reader@example.com"]
    begun = time.perf_counter()
    subprocess.run(
        [postfix("smtp-source"), *options, *people, f"127.0.0.1:{port}"],
        check=True,
        capture_output=True,
    )
    return count / (time.perf_counter() - begun)


def message(rendering: Rendering, number: int) -> EmailMessage:
    """Build one message the standard library's way."""
    address = f"reader{number}@example.com"
    values = {
        "first_name": "Reader",
        "email": address,
        "unsubscribe_url": f"https://news.example.com/u/{number:032}",
    }
    built = EmailMessage()
    built["From"] = f"Weekly ML News <{_FROM}>"
    built["To"] = address
    built["Subject"] = filled(rendering.subjects[0], values)
    built["List-Unsubscribe"] = f"<{values['unsubscribe_url']}>"
    built.set_content(filled(rendering.text, values))
    built.add_alternative(filled(rendering.html, values), subtype="html")
    return built


def one_by_one(port: int, rendering: Rendering, count: int) -> float:
    """Send with EmailMessage and smtplib, one message after another; messages a second."""
    begun = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", port) as client:
        for number in range(count):
            client.send_message(message(rendering, number), _FROM, [f"reader{number}@example.com"])
    return count / (time.perf_counter() - begun)


def asynchronous(port: int, rendering: Rendering, sessions: int, count: int) -> float:
    """Send with EmailMessage and aiosmtplib over several connections; messages a second."""

    async def session(numbers: range) -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
            for number in numbers:
                await client.send_message(
                    message(rendering, number),
                    sender=_FROM,
                    recipients=[f"reader{number}@example.com"],
                )

    async def all_of_them() -> None:
        shares = (range(first, count, sessions) for first in range(sessions))
        await asyncio.gather(*(session(share) for share in shares))

    begun = time.perf_counter()
    asyncio.run(all_of_them())
    return count / (time.perf_counter() - begun)


def without_pipelining(port: int, content: bytes, sessions: int, count: int) -> float:
    """Send finished bytes with smtplib, a thread for each connection; messages a second.

    Nothing is built and no ledger is kept: what is left is the dialogue, command by command.
    """

    def session(numbers: range) -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            for number in numbers:
                client.sendmail(_FROM, [f"reader{number}@example.com"], content)

    return _in_threads(session, sessions, count)


def _in_threads(session: Callable[[range], None], sessions: int, count: int) -> float:
    threads = [
        threading.Thread(target=session, args=(range(first, count, sessions),))
        for first in range(sessions)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - begun)
