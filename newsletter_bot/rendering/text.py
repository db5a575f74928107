"""The plain-text part, written from the issue itself and not from its HTML.

Paragraphs are not wrapped: mail programs wrap at their own width, and CJK text has no blanks.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from newsletter_bot.issues.model import Body, Card, Item, Section
from newsletter_bot.rendering.html_text import text_of
from newsletter_bot.rendering.view import MailView


def to_text(view: MailView) -> str:
    """Write the whole text part, with the same slots as the HTML part."""
    text = "\n".join(_lines(view)).strip() + "\n"
    for block in view.issue.only_blocks:  # the blank line belongs to the block, shown or not
        text = text.replace(f"{block.begin}\n\n", block.begin)
        text = text.replace(f"\n\n{block.end}\n\n", f"\n\n{block.end}")
    return text


def _lines(view: MailView) -> Iterator[str]:
    issue = view.issue
    yield from _underlined(f"{view.settings.newsletter.name}: {issue.title}", "=")
    yield from _body(view, issue.intro)
    if issue.picks:
        yield from _underlined(view.word("picks"), "-")
        for item in issue.picks:
            yield f"* {item.title}"
        yield ""
    for number, section in enumerate(issue.sections, 1):
        yield from _section(view, section, number)
    for section in issue.closing:
        yield from _underlined(section.title, "-")
        yield from _body(view, section.intro)
    if issue.footnotes is not None:
        yield from _underlined(view.word("notes"), "-")
        yield text_of(issue.footnotes.html, view.url)
        yield ""
    yield from _footer(view)


def _section(view: MailView, section: Section, number: int) -> Iterator[str]:
    if section.title:
        yield from _underlined(f"{number}. {section.title}", "-")
    yield from _body(view, section.intro)
    for item in section.items:
        yield from _item(view, item)


def _item(view: MailView, item: Item) -> Iterator[str]:
    yield f"{'★' if item.pick else '■'} {item.title}"
    if item.url is not None:
        yield view.url(item.url)
    if item.caption is not None:
        source = view.source_label(item)
        yield f"{source}: {item.caption.title}" if source else item.caption.title
    yield ""
    yield from _body(view, item.body)
    if item.one_liner is not None:
        yield f"> {item.one_liner}"
        yield ""
    yield ""


def _body(view: MailView, body: Body) -> Iterator[str]:
    for part in body:
        if isinstance(part, Card):
            yield from _card(view, part)
        else:
            yield text_of(part.html, view.url)
        yield ""


def _card(view: MailView, card: Card) -> Iterator[str]:
    yield f"→ {card.title or card.host}"
    if card.description:
        yield f"  {card.description}"
    yield f"  {view.url(card.url)}"


def _footer(view: MailView) -> Iterator[str]:
    newsletter = view.settings.newsletter
    yield "-- "
    yield f"{view.word('why')} {view.slot('email')}"
    yield f"{view.word('view')}: {view.page_url}"
    if "preferences" in view.words:  # a theme of one's own may be older than that page
        yield f"{view.word('preferences')}: {view.slot('preferences_url')}"
    yield f"{view.word('unsubscribe')}: {view.slot('unsubscribe_url')}"
    yield f"{newsletter.name}, {newsletter.postal_address}"


def _underlined(text: str, mark: str) -> Iterator[str]:
    cells = sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
    yield text
    yield mark * min(cells, 72)
    yield ""
