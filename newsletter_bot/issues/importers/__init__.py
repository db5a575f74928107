"""Issues published elsewhere → our issue file: one file each, found by discovery."""

from __future__ import annotations

import filecmp
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.issues.front_matter import IDENTITY
from newsletter_bot.issues.parse import read_text
from newsletter_bot.settings.kinds import Kinds

_ISSUE_LINE = re.compile(r"^(issue\s*[:=]\s*[\"']?)[\w.-]+([\"']?)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an importer makes of a file: our Markdown, and what belongs beside it."""

    identity: str
    markdown: str
    cards: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sections: int = 0
    items: int = 0
    picks: int = 0


class Importer(Protocol):
    """What an importer's module offers under its own name (`medium.py` is `--from medium`)."""

    description: str

    def convert(self, text: str, source: Path) -> Imported:
        """Turn a file's text into our issue file; keeps the content's own mistakes.

        Pure: reads and writes nothing. Raises DataError when the text holds no issue.
        """
        ...


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was written, and what the editor should look at."""

    path: Path
    sections: int
    items: int
    picks: int
    notes: tuple[str, ...]


def names() -> list[str]:
    """Return the importers there are."""
    return list(_kinds())


def get(name: str) -> Importer:
    """Return an importer; raises UsageError naming those there are."""
    if name not in names():
        raise UsageError(
            f"There is no importer {name!r}.", f"Write --from {' or --from '.join(names())}."
        )
    return _kinds()[name]


def _kinds() -> Kinds[Importer]:
    return Kinds(__name__, __path__)


def import_issue(file: Path, kind: str, folder: Path, identity: str | None = None) -> ImportReport:
    """Convert `file` and write it into the newsletter's `issues/`, with cards and pictures.

    The same import again changes nothing. Raises DataError rather than overwrite another file.
    """
    importer = get(kind)
    made = importer.convert(read_text(file), file)
    name = identity or made.identity
    if not re.fullmatch(IDENTITY, name):
        raise UsageError(
            f"{name!r} is no identity for an issue.",
            "Write --issue with letters, digits, dots, hyphens and underscores.",
        )
    text = _ISSUE_LINE.sub(lambda line: f"{line[1]}{name}{line[2]}", made.markdown, count=1)
    path = folder / "issues" / f"{name}.md"
    files = {path: text}
    if made.cards:
        cards = json.dumps(made.cards, ensure_ascii=False, indent=2) + "\n"
        files[path.with_name(f"{name}.cards.json")] = cards
    _write(files)
    notes = made.notes + _copy_images(file.parent, path.parent, made.images)
    return ImportReport(path, made.sections, made.items, made.picks, notes)


def _write(files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise DataError(
                f"{path} exists already and is different; nothing was written.",
                "Move it away, or import under another name with --issue.",
            )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _copy_images(source: Path, target: Path, images: tuple[str, ...]) -> tuple[str, ...]:
    missing, kept = [], []
    for name in dict.fromkeys(images):
        found = _inside(source, name)
        wanted = _inside(target, name)
        if found is None or wanted is None or not found.is_file():
            missing.append(name)
        elif not wanted.exists():
            wanted.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, wanted)
        elif not filecmp.cmp(found, wanted, shallow=False):
            kept.append(name)
    return (*_note("not beside the file", missing), *_note("another there already", kept))


def _inside(folder: Path, name: str) -> Path | None:
    """Return the file of a picture; None when it leaves the folder, or no file can be called so."""
    try:
        place = (folder / unquote(name)).resolve()
        place.is_file()  # raises for a name that is too long, such as a picture written out
    except (OSError, RuntimeError, ValueError):
        return None
    return place if place.is_relative_to(folder.resolve()) else None


def _note(what: str, names: list[str]) -> Iterator[str]:
    if names:
        shown = ", ".join(name[:40] for name in names[:3])
        yield f"{len(names)} pictures, {what}: {shown} …"
