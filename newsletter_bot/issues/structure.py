"""Blocks → sections and items: which heading is what, and what the paragraphs under it are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from markdown_it.token import Token

from newsletter_bot.issues.markdown import Block, Document, plain_text
from newsletter_bot.issues.model import Body, Caption, Card, Image, Item, Prose, Section

_FLAGS = re.compile(r"\{\s*(\w[\w ,-]*)\}\s*\Z")
_CAPTION = re.compile(r"[\[【]([^\]】]{1,80})[\]】]\s*(.*)", re.DOTALL)
_MORE_THAN_WORDS = ("link_open", "image", "footnote_ref")  # a one-liner is plain text
_ITEM_LEVELS = 2
Images = dict[tuple[str, int], Image]  # by address and line
_LINK_TAG = re.compile(r"</?a\b[^>]*>")
_MARKER = re.compile(r"zq9[a-z]\d+x[0-9a-f]{4}9qz")


@dataclass(frozen=True, slots=True)
class Structure:
    """An issue's text, put in order."""

    title: str
    intro: Body
    sections: tuple[Section, ...]
    closing: tuple[Section, ...]


@dataclass(slots=True)
class _Heading:
    level: int
    line: int
    title: str
    html: str
    headline: str
    url: str | None
    flags: tuple[str, ...]
    body: list[Block] = field(default_factory=list)


def structure(document: Document, images: Images, cards: dict[str, Card]) -> Structure:
    """Find sections and items: the shallowest heading level and the next deeper one in use."""
    opening, headings = _headings(document)
    title, under_title, headings = _take_title(headings)
    opening += under_title
    levels = sorted({heading.level for heading in headings})
    reader = _Reader(document, images, cards)
    if len(levels) == 1 and any(one.url or one.flags for one in headings):
        section = Section("", headings[0].line, "section-1", items=reader.items(headings))
        return Structure(title, reader.body(opening), (section,), ())
    top = levels[0] if levels else 1
    item_level = levels[1] if len(levels) >= _ITEM_LEVELS else top + 1
    while headings and headings[0].level > item_level:  # below nothing yet
        opening += _as_text(headings.pop(0))
    headings = list(_folded(headings, item_level))
    sections = list(_sections(headings, top, reader))
    return _arranged(title, reader, opening, sections)


def _arranged(
    title: str, reader: _Reader, opening: list[Block], sections: list[Section]
) -> Structure:
    with_items = [at for at, section in enumerate(sections) if section.items]
    if not with_items:
        return Structure(title, reader.body(opening), (), tuple(sections))
    first, last = with_items[0], with_items[-1]
    intro = list(reader.body(opening))
    for section in sections[:first]:
        intro.append(Prose(f"<h2>{section.title_html}</h2>", section.line))
        intro.extend(section.intro)
    return Structure(
        title, tuple(intro), tuple(sections[first : last + 1]), tuple(sections[last + 1 :])
    )


def _headings(document: Document) -> tuple[list[Block], list[_Heading]]:
    opening: list[Block] = []
    headings: list[_Heading] = []
    for block in document.blocks:
        if block.kind == "heading_open":
            headings.append(_heading(document, block))
        else:
            (headings[-1].body if headings else opening).append(block)
    return opening, headings


def _heading(document: Document, block: Block) -> _Heading:
    inline = block.tokens[1]
    children = list(inline.children or [])
    flags = _taken_flags(children)
    url = next((str(one.attrs["href"]) for one in children if "href" in one.attrs), None)
    inner = _unwrapped([one for one in children if one.type not in ("link_open", "link_close")])
    html = document.inline_html(_unwrapped(children), block.line)
    level = int(block.tokens[0].tag[1:])
    # A theme links the whole headline of an item; a link cannot stand in a link.
    headline = _LINK_TAG.sub("", document.inline_html(inner, block.line))
    return _Heading(level, block.line, plain_text(inner), html, headline, url or None, flags)


def _taken_flags(children: list[Token]) -> tuple[str, ...]:
    """Take `{pick}` off a heading's end, where a link or bold may still be closing."""
    texts = [one for one in children if one.type not in ("link_close", "strong_close", "em_close")]
    last = next((one for one in reversed(texts) if one.type != "text" or one.content.strip()), None)
    if last is None or last.type != "text" or not (found := _FLAGS.search(last.content)):
        return ()
    last.content = last.content[: found.start()].rstrip()
    return tuple(one.lower() for one in re.split(r"[\s,]+", found[1].strip(" ,")))


def _unwrapped(tokens: list[Token]) -> list[Token]:
    """Take off a heading's own bold: every headline is bold already."""
    while tokens and tokens[0].type == "text" and not tokens[0].content:
        tokens = tokens[1:]
    while tokens and tokens[-1].type == "text" and not tokens[-1].content:
        tokens = tokens[:-1]
    strong = [at for at, one in enumerate(tokens) if one.type.startswith("strong")]
    return tokens[1:-1] if strong == [0, len(tokens) - 1] else tokens


def _take_title(headings: list[_Heading]) -> tuple[str, list[Block], list[_Heading]]:
    """A lone first heading above two other levels is the issue's title, not a section.

    Unless the next level has links or picks: those are items, and the lone heading their section.
    """
    if not headings or headings[0].url:
        return "", [], headings
    first, rest = headings[0], headings[1:]
    deeper = {one.level for one in rest}
    if len(deeper) < _ITEM_LEVELS or min(deeper) <= first.level:
        return "", [], headings
    if all(one.url or one.flags for one in rest if one.level == min(deeper)):
        return "", [], headings
    return first.title, first.body, rest


def _folded(headings: list[_Heading], item_level: int) -> Iterator[_Heading]:
    """Put headings below the items' level back into the text they stand in."""
    current: _Heading | None = None
    for heading in headings:
        if heading.level > item_level and current is not None:
            current.body.extend(_as_text(heading))
        else:
            current = heading
            yield heading


def _as_text(heading: _Heading) -> list[Block]:
    tag = f"h{min(heading.level, 6)}"
    html = Token("html_block", "", 0, map=[heading.line - 1, heading.line])
    html.content = f"<{tag}>{heading.html}</{tag}>\n"
    return [Block((html,), heading.line), *heading.body]


def _sections(headings: list[_Heading], top: int, reader: _Reader) -> Iterator[Section]:
    current: _Heading | None = None
    items: list[_Heading] = []
    started = False
    for heading in headings:
        if heading.level > top:
            items.append(heading)
            continue
        if started or items:
            yield reader.section(current, items)
        current, items, started = heading, [], True
    if started or items:
        yield reader.section(current, items)


@dataclass
class _Reader:
    """Turns what stands under a heading into an Item or Section."""

    document: Document
    images: Images
    cards: dict[str, Card]
    anchors: set[str] = field(default_factory=set)

    def section(self, heading: _Heading | None, items: list[_Heading]) -> Section:
        """Make a section; items before the first section heading have one without a title."""
        anchor = self.anchor(heading.title if heading else "", "section")
        made = self.items(items)
        if heading is None:
            return Section("", items[0].line, anchor, items=made)
        intro = self.body(heading.body)
        return Section(heading.title, heading.line, anchor, heading.html, intro, made)

    def items(self, headings: Sequence[_Heading]) -> tuple[Item, ...]:
        """Make the items of a section."""
        return tuple(self.item(heading) for heading in headings)

    def item(self, heading: _Heading) -> Item:
        """Make one item from its heading and what follows it."""
        blocks = heading.body
        image, blocks = self._image(blocks, heading.url)
        caption, blocks = self._caption(blocks, after_image=image is not None)
        one_liner, blocks = _one_liner(blocks)
        return Item(
            title=heading.title,
            line=heading.line,
            anchor=self.anchor(heading.title, "item"),
            title_html=heading.headline,
            url=heading.url,
            image=image,
            caption=caption,
            body=self.body(blocks),
            one_liner=one_liner,
            tags=tuple(flag for flag in heading.flags if flag != "pick"),
            pick="pick" in heading.flags,
        )

    def body(self, blocks: Sequence[Block]) -> Body:
        """Gather blocks into prose, with cards between."""
        parts: list[Prose | Card] = []
        waiting: list[Block] = []
        for block in blocks:
            urls = _card_urls(block)
            if not urls:
                waiting.append(block)
                continue
            parts.extend(self._prose(waiting))
            waiting = []
            for line, url in enumerate(urls, block.line):
                parts.append(replace(self.cards.get(url, Card(url, line)), line=line))
        parts.extend(self._prose(waiting))
        return tuple(parts)

    def anchor(self, title: str, kind: str) -> str:
        """Make an address within the page, unique and in ASCII."""
        title = _MARKER.sub(" ", title)  # an anchor is one for all readers
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-")
        if not title.isascii() or not slug or re.match(r"fn\d|fnref", slug):
            slug = f"{kind}-{len(self.anchors) + 1}"
        while slug in self.anchors:
            slug = f"{slug}-{len(self.anchors) + 1}"
        self.anchors.add(slug)
        return slug

    def _prose(self, blocks: Sequence[Block]) -> Iterator[Prose]:
        if not blocks:
            return
        html = self.document.html([token for block in blocks for token in block.tokens])
        if html:
            yield Prose(html, blocks[0].line)

    def _image(self, blocks: list[Block], url: str | None) -> tuple[Image | None, list[Block]]:
        for at, block in enumerate(blocks):
            token = _lone_image(block, url)
            if token is not None:
                image = self.images.get((str(token.attrs["src"]), token.meta.get("line", 0)))
                return image, [*blocks[:at], *blocks[at + 1 :]]
            if not _is_caption(block):
                break
        return None, blocks

    def _caption(
        self, blocks: list[Block], *, after_image: bool
    ) -> tuple[Caption | None, list[Block]]:
        if not blocks or not blocks[0].inline or blocks[0].inline[0].type != "em_open":
            return None, blocks
        block = blocks[0]
        end = next(n for n, one in enumerate(block.inline) if one.type == "em_close")
        text = plain_text(block.inline[1:end])
        rest = block.inline[end + 1 :]
        found = _CAPTION.fullmatch(text)
        if found is None and (not after_image or plain_text(rest)):
            return None, blocks
        remaining = [_without_caption(block, rest)] if plain_text(rest) else []
        caption = Caption(found[1].strip(), found[2].strip(), block.line) if found else None
        return caption or Caption(None, text, block.line), [*remaining, *blocks[1:]]


def _without_caption(block: Block, rest: list[Token]) -> Block:
    while rest and rest[0].type in ("softbreak", "hardbreak"):
        rest = rest[1:]
    if rest[0].type == "text":
        rest[0].content = rest[0].content.lstrip()
        if not rest[0].content:
            return _without_caption(block, rest[1:])
    opening, inline, *closing = block.tokens
    inline.children = rest
    return Block((opening, inline, *closing), block.line)


def _is_caption(block: Block) -> bool:
    return bool(
        block.inline
        and block.inline[0].type == "em_open"
        and _CAPTION.match(plain_text(block.inline))
    )


def _lone_image(block: Block, url: str | None) -> Token | None:
    """Return the picture of a paragraph with nothing else that would be lost without it."""
    if block.kind != "paragraph_open":
        return None
    tokens = [one for one in block.inline if one.type != "text" or one.content.strip()]
    match [one.type for one in tokens]:
        case ["image"]:
            return tokens[0]
        case ["link_open", "image", "link_close"] if tokens[0].attrs.get("href", url) == url:
            return tokens[1]
        case _:
            return None


def _card_urls(block: Block) -> list[str]:
    """Return where the cards of a paragraph lead that holds nothing but cards, one on a line."""
    if block.kind != "paragraph_open":
        return []
    tokens = [one for one in block.inline if one.type != "text" or one.content.strip()]
    tokens = [one for one in tokens if one.type not in ("softbreak", "hardbreak")]
    urls = []
    for opening, text, closing in zip(tokens[::3], tokens[1::3], tokens[2::3], strict=False):
        types = (opening.type, text.type, closing.type)
        if types == ("link_open", "text", "link_close") and text.content.strip().lower() == "card":
            urls.append(str(opening.attrs.get("href", "")))
    return urls if 3 * len(urls) == len(tokens) else []


def _one_liner(blocks: list[Block]) -> tuple[str | None, list[Block]]:
    quotes = [at for at, block in enumerate(blocks) if block.kind == "blockquote_open"]
    if not quotes:
        return None, blocks
    at = quotes[-1]
    inside = [token.type for token in blocks[at].tokens[1:-1]]
    if inside != ["paragraph_open", "inline", "paragraph_close"]:
        return None, blocks
    words = blocks[at].tokens[2].children or []
    if any(one.type in _MORE_THAN_WORDS for one in words):
        return None, blocks
    text = plain_text(words)
    return text, [*blocks[:at], *blocks[at + 1 :]]
