"""A folder of bookmarks → links: browsers' exports, link files, and lists in text."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Iterator
from pathlib import Path
from xml.parsers.expat import ExpatError

import lxml.html
from lxml.etree import LxmlError

from newsletter_bot.issues.collect.links import Found, is_web_address

_LARGEST = 5_000_000  # bytes of one file
_MARKDOWN = re.compile(r"\[([^\[\]]{0,500})\]\((https?://[^\s()<>]+)\)")
_BARE = re.compile(r"(?<![(\w/])https?://[^\s<>()\[\]\"']+")


def read_bookmarks(folder: Path) -> list[Found]:
    """Return the links of every file that holds some, by file name; others are left alone."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
            links = _links(path)
            found += [
                Found(url, title or path.stem, f"{folder.name}/{path.name}")
                for url, title in links
                if is_web_address(url)
            ]
    return found


def _links(path: Path) -> list[tuple[str, str]]:
    content = path.read_bytes()
    kind = path.suffix.lower()
    if kind in {".html", ".htm"}:
        return _exported(content)
    if kind == ".webloc":
        return _webloc(content)
    text = content.decode("utf-8", errors="replace")
    if kind == ".url":
        return [(found[1].strip(), "") for found in re.finditer(r"(?mi)^URL=(\S+)", text)]
    if kind in {".md", ".txt", ".markdown"}:
        return list(_written(text))
    return []


def _exported(content: bytes) -> list[tuple[str, str]]:
    """Read the Netscape bookmark file that browsers export."""
    try:
        tree = lxml.html.document_fromstring(content)
    except (LxmlError, ValueError):
        return []
    return [(str(one.get("href", "")), "".join(map(str, one.itertext()))) for one in tree.iter("a")]


def _webloc(content: bytes) -> list[tuple[str, str]]:
    try:
        value = plistlib.loads(content)
    except (ValueError, ExpatError, plistlib.InvalidFileException, RecursionError):
        return []
    url = value.get("URL") if isinstance(value, dict) else None
    return [(url, "")] if isinstance(url, str) else []


def _written(text: str) -> Iterator[tuple[str, str]]:
    for title, url in _MARKDOWN.findall(text):
        yield url, title
    for url in _BARE.findall(_MARKDOWN.sub("", text)):
        yield url.rstrip(".,;:!?"), ""
