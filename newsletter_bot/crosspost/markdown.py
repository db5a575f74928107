"""An article's HTML as Markdown (CommonMark), for places where people paste it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import html as parser
from lxml.html import HtmlElement

_BLOCKS = frozenset(
    "p div ul ol li pre blockquote table hr h1 h2 h3 h4 h5 h6 figure figcaption section".split()
)
_MARKS = {"em": "*", "i": "*", "cite": "*", "strong": "**", "b": "**", "code": "`"}
_SPECIAL = re.compile(r"([\\`*_\[\]<>])")
_BEGINS = re.compile(r"^(\s*)([#+-]|\d+[.)])(?=\s|$)", re.MULTILINE)


def markdown_of(html: str) -> str:
    """Write a sanitised article as Markdown; what Markdown cannot say becomes its text."""
    root = parser.fragment_fromstring(html, create_parent="div")
    return "\n\n".join(_blocks(root)) + "\n"


def _blocks(element: HtmlElement) -> Iterator[str]:
    loose = _text(element.text)
    for child in element:
        if child.tag in _BLOCKS:
            yield from _paragraph(loose)
            loose = ""
            yield from _block(child)
        elif isinstance(child.tag, str):
            loose += _inline(child)
        loose += _text(child.tail)
    yield from _paragraph(loose)


def _block(element: HtmlElement) -> Iterator[str]:
    name = str(element.tag)
    if name == "hr":
        yield "---"
    elif name == "pre":
        code = "".join(map(str, element.itertext())).strip("\n")
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", code)), 3)
        yield f"{fence}\n{code}\n{fence}"
    elif re.fullmatch(r"h[1-6]", name):
        yield f"{'#' * int(name[1])} {' '.join(_blocks(element))}"
    elif name == "blockquote":
        yield _indented("\n\n".join(_blocks(element)), "> ", "> ")
    elif name in ("ul", "ol"):
        yield "\n".join(_items(element))
    elif name == "table":
        yield "\n\n".join(
            " | ".join(" ".join(_blocks(cell)) for cell in row) for row in element.iter("tr")
        )
    else:
        yield from _blocks(element)


def _items(element: HtmlElement) -> Iterator[str]:
    for number, item in enumerate(element.iterchildren("li"), 1):
        mark = f"{number}. " if element.tag == "ol" else "- "
        yield _indented("\n\n".join(_blocks(item)), mark, " " * len(mark))


def _inline(element: HtmlElement) -> str:
    name = str(element.tag)
    if name == "br":
        return "\\\n"
    if name == "img":
        return f"![{_text(element.get('alt'))}]({_address(element.get('src', ''))})"
    if name == "code":
        code = str(element.text_content())
        return f"`` {code} ``" if "`" in code else f"`{code}`"
    inside = _text(element.text) + "".join(
        _inline(child) + _text(child.tail) for child in element if isinstance(child.tag, str)
    )
    if name == "a" and element.get("href"):
        return f"[{inside}]({_address(element.get('href', ''))})"
    mark = _MARKS.get(name, "")
    bare = inside.strip()
    return inside.replace(bare, f"{mark}{bare}{mark}", 1) if mark and bare else inside


def _text(text: str | None) -> str:
    return _SPECIAL.sub(r"\\\1", re.sub(r"[ \t\r\n]+", " ", text or ""))


def _address(url: str) -> str:
    return f"<{url}>" if re.search(r"[\s()]", url) else url


def _paragraph(text: str) -> Iterator[str]:
    if stripped := text.strip():
        yield _BEGINS.sub(r"\1\\\2", stripped) if not stripped.startswith("![") else stripped


def _indented(text: str, first: str, rest: str) -> str:
    lines = text.split("\n")
    marks = [first, *[rest] * (len(lines) - 1)]
    return "\n".join((mark + line).rstrip() for mark, line in zip(marks, lines, strict=True))
