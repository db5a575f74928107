"""ISSUE on the command line → its file: an identity or a path."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from newsletter_bot.errors import DataError

_IDENTITY_LINE = re.compile(r"^issue\s*[:=]\s*[\"']?([^\s\"']+)", re.MULTILINE)
_HEAD = 4096  # characters in which the front matter's `issue` is looked for


def issue_files(folder: Path) -> list[Path]:
    """Return a newsletter's issue files, by name."""
    return sorted(path for path in (folder / "issues").glob("*.md") if path.is_file())


def find_issue(folder: Path, name: str) -> Path:
    """Return the file of the issue called `name`; raises DataError with the nearest names."""
    beside = folder / "issues" / f"{name}.md"
    if "/" not in name and _is_file(beside):
        return beside
    for path in (Path(name), folder / name):
        if _is_file(path):
            return path
    files = issue_files(folder)
    for path in files:
        if _identity(path) == name:
            return path
    near = difflib.get_close_matches(name, [path.stem for path in files], n=3, cutoff=0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Make it with `newsletter-bot new`."
    raise DataError(f"There is no issue {name!r} in {folder / 'issues'}.", hint)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for this machine, or no name at all
        return False


def _identity(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        match = _IDENTITY_LINE.search(file.read(_HEAD))
    return match[1] if match else path.stem
