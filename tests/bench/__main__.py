"""Print compile times by stage, then messages a second against the standard library's way.

    python -m tests.bench [--messages N]

Both senders send the same issue to the same Postfix smtp-sink process on this machine. Ours keeps
its ledger on disk as in production; the other keeps none.
"""

from __future__ import annotations

import argparse
import shutil
import smtplib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

from newsletter_bot.bot import Bot
from newsletter_bot.cli.newsletter import scaffold
from newsletter_bot.delivery.sender import Run
from newsletter_bot.issues.model import Issue
from newsletter_bot.rendering import inline, mjml
from newsletter_bot.rendering.cut import Cutter
from newsletter_bot.rendering.model import Rendering, filled
from newsletter_bot.rendering.render import look_at, to_mjml, to_pieces
from newsletter_bot.rendering.text import to_text
from newsletter_bot.rendering.theme import Theme
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber

_REPEATS = 20


def say(text: str) -> None:
    """Print a line of the table."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def milliseconds(work: Callable[[], object]) -> float:
    """Time a stage: the median of some runs after one that warms up."""
    work()
    times = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def compile_times(bot: Bot, path: Path) -> None:
    """Print what each stage of compiling the sample issue costs."""
    issue = bot.read(path)
    theme = Theme.of(bot.settings)
    view = look_at(issue, bot.settings, theme)
    source = to_mjml(view, theme)
    html = mjml.to_html(source, theme.name)
    css = theme.render(
        "inline.css.j2", {"language": "en", "start": "left", "end": "right", "direction": "ltr"}
    )
    finished = inline.inlined(html, css)
    cutter = Cutter((*issue.slots, *view.slots), issue.only_blocks)
    say(f"\nCompiling {path.name} ({len(issue.items)} items), once per issue")
    for name, work in (
        ("read: front matter, Markdown, structure", lambda: bot.read(path)),
        ("theme: Jinja2 → MJML", lambda: to_mjml(look_at(issue, bot.settings, theme), theme)),
        ("mrml: MJML → HTML, with validation", lambda: mjml.to_html(source, theme.name)),
        ("premailer: styles inlined", lambda: inline.inlined(html, css)),
        ("plain text", lambda: to_text(view)),
        ("cut at slots", lambda: to_pieces(finished, cutter)),
        ("all of it, from file to rendering", lambda: bot.render(bot.read(path))),
    ):
        say(f"  {name:<42} {milliseconds(work):8.1f} ms")


@contextmanager
def sink() -> Iterator[int]:
    """Run Postfix's smtp-sink, which takes mail and throws it away; yields its port."""
    program = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    as_root = ["-u", "nobody"] if Path("/root").stat().st_uid == 0 and _is_root() else []
    process = subprocess.Popen([program, *as_root, f"127.0.0.1:{port}", "1000"])
    try:
        for _ in range(100):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def _is_root() -> bool:
    import os

    return os.geteuid() == 0


def add_people(bot: Bot, count: int) -> None:
    """Add invented readers."""
    people = [
        NewSubscriber(parse_address(f"reader{n}@example.com"), f"Reader {n}") for n in range(count)
    ]
    for at in range(0, count, 5000):
        bot.subscribers.add(people[at : at + 5000], "weekly", {"source": "bench"})


def ours(bot: Bot, issue: Issue) -> float:
    """Send with the ledger; returns messages a second."""
    begun = time.perf_counter()
    tally = bot.mailroom.send(bot.render(issue), issue.title, issue.lists, Run())
    spent = time.perf_counter() - begun
    assert tally.balanced
    assert tally.accepted == tally.planned
    return tally.accepted / spent


def one_by_one(port: int, rendering: Rendering, count: int) -> float:
    """Send with EmailMessage and smtplib, one message after another; returns messages a second."""
    begun = time.perf_counter()
    with smtplib.SMTP("127.0.0.1", port) as client:
        for number in range(count):
            address = f"reader{number}@example.com"
            values = {
                "first_name": "Reader",
                "email": address,
                "unsubscribe_url": f"https://news.example.com/u/{number:032}",
            }
            message = EmailMessage()
            message["From"] = "Weekly ML News <news@news.example.com>"
            message["To"] = address
            message["Subject"] = filled(rendering.subjects[0], values)
            message["List-Unsubscribe"] = f"<{values['unsubscribe_url']}>"
            message.set_content(filled(rendering.text, values))
            message.add_alternative(filled(rendering.html, values), subtype="html")
            client.send_message(message, "bounce@news.example.com", [address])
    return count / (time.perf_counter() - begun)


def sending(bot: Bot, path: Path, count: int, port: int) -> None:
    """Print messages a second, ours and theirs, in the same run."""
    issue = bot.read(path)
    rendering = bot.render(issue)
    size = len(bot.mailroom.sample(rendering, bot.sample_values(), "a@example.com").content)
    fewer = max(200, count // 10)  # one by one is slow; its rate does not depend on the count
    say(f"\nSending {count:,} messages of {size / 1024:.0f} KB to smtp-sink on this machine")
    theirs = one_by_one(port, rendering, fewer)
    rate = ours(bot, issue)
    say(f"  EmailMessage + smtplib, one by one         {theirs:8.0f} messages/s")
    connections = bot.settings.transport.connections
    say(f"  newsletter-bot, ledger on, {connections} connections   {rate:8.0f} messages/s")
    say(f"  ratio                                      {rate / theirs:8.1f} ×")


def main() -> None:
    """Run the whole bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    count = parser.parse_args().messages
    with tempfile.TemporaryDirectory() as place, sink() as port:
        folder = Path(place) / "news"
        scaffold(folder, sample=True)
        toml = folder / "newsletter.toml"
        toml.write_text(toml.read_text().replace("port = 2525", f"port = {port}"))
        bot = Bot.open(folder)
        path = bot.find("2026-W47")
        compile_times(bot, path)
        add_people(bot, count)
        sending(bot, path, count, port)
        bot.close()


if __name__ == "__main__":
    main()
