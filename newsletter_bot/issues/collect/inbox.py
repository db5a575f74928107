"""The inbox: a Markdown list of links, of which only lines are added and ticked."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from newsletter_bot.errors import DataError
from newsletter_bot.issues.collect.links import Found, plain_title, url_key

_LINE = re.compile(r"^(\s*[-*+] )\[([ xX])\] \[((?:\\.|[^\[\]\\])*)\]\((\S+?)\)")
_ESCAPED = re.compile(r"\\(.)")
_HEAD = """\
# Inbox

Links found through the week. `newsletter-bot inbox promote LINE` makes an item of one.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the inbox that holds a link."""

    line: int  # counted from 1
    title: str
    url: str
    ticked: bool


class Inbox:
    """One file; it is made when the first link comes, and read in whole each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> list[Entry]:
        """Return the lines that hold a link, in their order."""
        return _entries(self._read())

    def add(self, links: Sequence[Found], day: str) -> int:
        """Append links under the day they came; returns how many were not there yet."""
        with self._held():
            text = self._read()
            known = {url_key(one.url) for one in _entries(text)}
            lines = []
            for link in links:
                key = url_key(link.url)
                if key not in known:
                    known.add(key)
                    source = plain_title(link.source)
                    lines.append(f"- [ ] [{plain_title(link.title)}]({link.url}) ({source})")
            if lines:
                self._write(_appended(text or _HEAD, lines, day))
            return len(lines)

    def find(self, what: str) -> Entry:
        """Return the entry on a line, or with an address; raises DataError."""
        key = url_key(what) if not what.isdigit() else ""
        for one in self.entries():
            if str(one.line) == what or (key and url_key(one.url) == key):
                return one
        raise DataError(
            f"{self._path} has no link {'on line ' if what.isdigit() else ''}{what}.",
            "See `newsletter-bot inbox list`.",
        )

    def tick(self, entry: Entry) -> None:
        """Mark an entry as used, wherever its line is now."""
        with self._held():
            lines = self._read().split("\n")
            for at, line in enumerate(lines):
                found = _LINE.match(line)
                if found and found[4] == entry.url:
                    lines[at] = f"{found[1]}[x]{line[len(found[1]) + 3 :]}"
            self._write("\n".join(lines))

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self._path} cannot be read: {error}.", "Mend the file.") from error

    def _write(self, text: str) -> None:
        fresh = self._path.with_name(f".{self._path.name}.new")
        with fresh.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep other processes from the file meanwhile."""
        with self._path.with_name(f".{self._path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _entries(text: str) -> list[Entry]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        match = _LINE.match(line)
        if match:
            title = _ESCAPED.sub(r"\1", match[3])
            found.append(Entry(number, title, match[4], match[2] != " "))
    return found


def _appended(text: str, lines: Sequence[str], day: str) -> str:
    """Put lines at the end, under a heading for the day unless that is the last one there is."""
    heading = f"## {day}"
    headings = [line for line in text.split("\n") if line.startswith("## ")]
    begin = [] if headings and headings[-1].strip() == heading else ["", heading, ""]
    return "\n".join([text.rstrip("\n"), *begin, *lines]) + "\n"
