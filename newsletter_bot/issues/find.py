"""ISSUE on the command line → its file: an identity or a path; and which files there are."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from newsletter_bot.errors import DataError
from newsletter_bot.issues.model import Kind

_IDENTITY_LINE = re.compile(r"^issue\s*[:=]\s*[\"']?([^\s\"']+)", re.MULTILINE)
_HEAD = 4096  # characters in which the front matter's `issue` is looked for
_WELCOME = "welcome.md"
_SEQUENCE = "sequence"


def issue_files(folder: Path) -> list[Path]:
    """Return a newsletter's issue files, by name."""
    return _in(folder / "issues")


def sequence_files(folder: Path) -> list[Path]:
    """Return the files of messages that newcomers get: the welcome first, the others by name."""
    welcome = folder / _WELCOME
    return [*([welcome] if welcome.is_file() else []), *_in(folder / _SEQUENCE)]


def kind_of(folder: Path, path: Path) -> Kind:
    """Tell from its place what a file is; a file anywhere else is an issue."""
    beside = path.parent.resolve()
    if path.name == _WELCOME and beside == folder.resolve():
        return Kind.WELCOME
    return Kind.SEQUENCE if beside == (folder / _SEQUENCE).resolve() else Kind.ISSUE


def find_issue(folder: Path, name: str) -> Path:
    """Return the file of the issue or sequence message called `name`.

    Raises DataError with the nearest names.
    """
    beside = folder / "issues" / f"{name}.md"
    if "/" not in name and _is_file(beside):
        return beside
    for path in (Path(name), folder / name):
        if _is_file(path):
            return path
    files = [*issue_files(folder), *sequence_files(folder)]
    for path in files:
        if _identity(path) == name:
            return path
    near = difflib.get_close_matches(name, [path.stem for path in files], n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Make it with `newsletter-bot new`."
    raise DataError(f"There is no issue {name!r} in {folder / 'issues'}.", hint)


def refuse_twins(folder: Path, path: Path, identity: str) -> None:
    """Raise DataError when another issue or sequence message has the same identity."""
    for other in (*issue_files(folder), *sequence_files(folder)):
        # Folded, as two names that differ in case are one file on some disks.
        if _identity(other).casefold() == identity.casefold() and not other.samefile(path):
            raise DataError(
                f"{other} and {path} are both called {identity!r}.",
                "Give one of them another `issue:`, or remove it.",
            )


def _in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.md") if path.is_file())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for this machine, or no name at all
        return False


def _identity(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        match = _IDENTITY_LINE.search(file.read(_HEAD))
    return match[1] if match else path.stem
