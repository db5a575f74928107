"""An HTML fragment as plain text: lists, tables, quotes, code and links stay readable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lxml import html as parser
from lxml.etree import _Element

_BLOCKS = frozenset("p div ul ol pre blockquote table hr h1 h2 h3 h4 h5 h6 dl figure".split())
_BREAK = "\x00"  # a <br>, kept apart from white space until the paragraph is put together


def text_of(html: str, link: Callable[[str], str]) -> str:
    """Write a sanitised fragment as text; `link` gives the address to print for an href."""
    if not html.strip():
        return ""
    root = parser.fragment_fromstring(html, create_parent="div")
    return "\n\n".join(_blocks(root, link))


def _blocks(element: _Element, link: Callable[[str], str]) -> Iterator[str]:
    """Yield an element's blocks; loose text between them is a paragraph of its own."""
    loose = element.text or ""
    for child in element:
        if _name(child) in _BLOCKS:
            yield from _paragraph(loose)
            loose = ""
            yield from _block(child, link)
        else:
            loose += _inline(child, link)
        loose += child.tail or ""
    yield from _paragraph(loose)


def _block(element: _Element, link: Callable[[str], str]) -> Iterator[str]:
    match _name(element):
        case "ul" | "ol":
            yield _list(element, link)
        case "pre":
            yield _indented("".join(map(str, element.itertext())).strip("\n"), "    ", "    ")
        case "blockquote":
            yield _indented("\n\n".join(_blocks(element, link)), "> ", "> ")
        case "table":
            yield "\n".join(_rows(element, link))
        case "hr":
            yield "* * *"
        case _:
            yield from _blocks(element, link)


def _list(element: _Element, link: Callable[[str], str]) -> str:
    written = element.get("start") or ""
    start = int(written) if re.fullmatch(r"[0-9]{1,9}", written) else 1
    lines = []
    for number, item in enumerate(element, start):
        mark = f"{number}. " if _name(element) == "ol" else "- "
        text = "\n".join(_blocks(item, link))
        lines.append(_indented(text, mark, " " * len(mark)))
    return "\n".join(lines)


def _rows(table: _Element, link: Callable[[str], str]) -> Iterator[str]:
    for row in table.iter("tr"):
        yield " | ".join(" ".join(_blocks(cell, link)) for cell in row)


def _inline(element: _Element, link: Callable[[str], str]) -> str:
    name = _name(element)
    if name == "br":
        return _BREAK
    if name == "img":
        return f"[{element.get('alt')}]" if element.get("alt") else ""
    inside = (element.text or "") + "".join(
        _inline(child, link) + (child.tail or "") for child in element
    )
    address = element.get("href", "") if name == "a" else ""
    if not address:
        return inside
    if address.startswith("#"):
        return "" if "\u21a9" in inside else inside  # a footnote's way back leads nowhere in text
    shown = link(address)
    return inside if inside.strip() == shown else f"{inside} <{shown}>"


def _paragraph(text: str) -> Iterator[str]:
    words = re.sub(r"[ \t\r\n]+", " ", text).replace(_BREAK, "\n")
    stripped = "\n".join(line.strip() for line in words.split("\n")).strip()
    if stripped:
        yield stripped


def _indented(text: str, first: str, rest: str) -> str:
    lines = text.split("\n")
    marks = [first, *[rest] * (len(lines) - 1)]
    return "\n".join((mark + line).rstrip() for mark, line in zip(marks, lines, strict=True))


def _name(element: _Element) -> str:
    return str(element.tag)  # a comment's is a function, and named by no case
