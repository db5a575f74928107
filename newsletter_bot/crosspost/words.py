"""What an issue and its items say in one line: plain text that anybody may read."""

from __future__ import annotations

import re

from lxml import html as parser

from newsletter_bot.issues.model import Item, Prose

# A full stop after one of these ends no sentence.
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|etc|vs|cf|ca|approx|fig|figs|eq|sec|no|vol|dr|mr|mrs|ms|prof|st)"
    r"|\b[A-Za-z])\.$",
    re.IGNORECASE,
)
_END = re.compile(r"[.!?]+[\"'”’)\]]*(?=\s+\S)|[。！？]+[」』）]*")


def one_line(item: Item) -> str:
    """Return the item's one-liner, else the first sentence of its summary, else its title."""
    if item.one_liner:
        return _flat(item.one_liner)
    for part in item.body:
        if isinstance(part, Prose) and (text := first_paragraph(part.html)):
            return first_sentence(text)
    return _flat(item.title)


def first_sentence(text: str) -> str:
    """Return a text up to the end of its first sentence."""
    for found in _END.finditer(text):
        sentence = text[: found.end()]
        if not _ABBREVIATION.search(sentence):
            return sentence
    return text


def first_paragraph(html: str) -> str:
    """Return the text of the first paragraph that has any; footnote marks are left out."""
    if not html.strip():
        return ""
    root = parser.fragment_fromstring(html, create_parent="div")
    for paragraph in root.iter("p"):
        for mark in paragraph.xpath(".//sup"):
            mark.drop_tree()
        if text := _flat(str(paragraph.text_content())):
            return text
    return ""


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\ufeff", "")).strip()
