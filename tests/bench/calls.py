"""Messages a second through a provider's API that answers at once, on this machine.

    python -m tests.bench.calls [readers]

Resend's default limit is 2 calls of 100 messages a second; what we make of a message, and of the
answers, must keep up with that. The provider runs in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from newsletter_bot.delivery.mailroom import Mailroom
from newsletter_bot.delivery.run import Run
from newsletter_bot.rendering.model import Escape, Hole, Rendering, Static
from newsletter_bot.settings import Settings
from newsletter_bot.storage.engine import open_engine
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.store import SubscriberStore
from tests.servers.providers import fake, provider_server
from tests.servers.providers.resend import KEY

_SECRET = b"0123456789abcdef" * 4
_HTML = '<p style="color:#333333">A paragraph of a weekly issue, as long as most.</p>\n' * 550
_CONNECTIONS = (1, 8)


def main() -> None:
    """Print one line for each number of connections."""
    readers = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    for connections in _CONNECTIONS:
        with tempfile.TemporaryDirectory() as folder:
            taken, seconds = _run(Path(folder), connections, readers)
        rate = f"{taken / seconds:.0f} messages/s ({taken} readers)"
        sys.stdout.write(f"{connections} connections: {rate}\n")


def _run(folder: Path, connections: int, readers: int) -> tuple[int, float]:
    ours, theirs = multiprocessing.Pipe()
    provider = multiprocessing.Process(target=_provide, args=(theirs,), daemon=True)
    provider.start()
    settings = _settings(folder, ours.recv(), connections)
    engine = open_engine(settings.database.url, folder)
    people = [NewSubscriber(parse_address(f"r{one}@example.com")) for one in range(readers)]
    SubscriberStore(engine, _SECRET).add(people, "weekly", {"source": "bench"})
    room = Mailroom(engine, settings, _SECRET)
    room.plan(_issue(), "Week 1", ["weekly"])
    begun = time.monotonic()
    tally = room.send(_issue(), "Week 1", ["weekly"], Run())
    seconds = time.monotonic() - begun
    ours.send("enough")
    provider.join()
    engine.dispose()
    return tally.accepted, seconds


def _provide(pipe: Connection) -> None:
    with provider_server(fake("resend")) as server:
        pipe.send(server.url)
        pipe.recv()


def _settings(folder: Path, url: str, connections: int) -> Settings:
    newsletter = {
        "name": "News",
        "url": "https://news.example.com",
        "from": "News <news@news.example.com>",
        "postal_address": "here",
    }
    own = {"kind": "resend", "url": url, "api_key": KEY, "calls_per_second": 1000}
    transport = {**own, "connections": connections}
    return Settings(folder=folder, newsletter=newsletter, transport=transport)


def _issue() -> Rendering:
    return Rendering(
        issue="2026-W01",
        subjects=((Static("Week 1"),),),
        html=(Static(_HTML), Hole("unsubscribe_url", "", Escape.LINK)),
        text=(Static("A paragraph of a weekly issue.\n" * 60),),
        language="en",
    )


if __name__ == "__main__":
    main()
