"""Issues published elsewhere → our issue file: one file each, found by discovery."""

from __future__ import annotations

import importlib
import json
import pkgutil
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from newsletter_bot.errors import DataError, UsageError
from newsletter_bot.issues.parse import read_text


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
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> Importer:
    """Return an importer; raises UsageError naming those there are."""
    if name not in names():
        raise UsageError(
            f"There is no importer {name!r}.", f"Write --from {' or --from '.join(names())}."
        )
    module: Any = importlib.import_module(f"{__name__}.{name}")
    found: Importer = module
    return found


def import_issue(file: Path, kind: str, folder: Path, identity: str | None = None) -> ImportReport:
    """Convert `file` and write it into the newsletter's `issues/`, with cards and pictures.

    The same import again changes nothing. Raises DataError rather than overwrite another file.
    """
    importer = get(kind)
    made = importer.convert(read_text(file), file)
    name = identity or made.identity
    text = made.markdown.replace(f"issue: {made.identity}\n", f"issue: {name}\n", 1)
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
    missing = []
    for name in images:
        found = (source / name).resolve()
        wanted = (target / name).resolve()
        inside = found.is_relative_to(source.resolve()) and wanted.is_relative_to(target.resolve())
        if inside and found.is_file():
            wanted.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, wanted)
        else:
            missing.append(name)
    if not missing:
        return ()
    return (f"{len(missing)} pictures are not beside the file: {', '.join(missing[:3])} …",)
