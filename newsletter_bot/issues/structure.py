"""Blocks → sections and items: which heading is what, and what the paragraphs under it are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from markdown_it.token import Token

from newsletter_bot.issues.markdown import Block, Document, plain_text
from newsletter_bot.issues.model import Body, Caption, Card, Image, Item, Prose, Section

_FLAGS = re.compile(r"\s*\{([a-z][a-z0-9 -]*)\}\s*$")
_CAPTION = re.compile(r"[\[【]([^\]】]{1,80})[\]】]\s*(.*)", re.DOTALL)
_ITEM_LEVELS = 2


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
    url: str | None
    flags: tuple[str, ...]
    body: list[Block] = field(default_factory=list)


def structure(document: Document, images: dict[str, Image], cards: dict[str, Card]) -> Structure:
    """Find sections and items: the shallowest heading level and the next deeper one in use."""
    opening, headings = _headings(document)
    title, headings = _take_title(headings)
    levels = sorted({heading.level for heading in headings})
    reader = _Reader(document, images, cards)
    if len(levels) == 1 and any(one.url or one.flags for one in headings):
        section = Section("", headings[0].line, "section-1", items=reader.items(headings))
        return Structure(title, reader.body(opening), (section,), ())
    top = levels[0] if levels else 1
    item_level = levels[1] if len(levels) >= _ITEM_LEVELS else top + 1
    headings = list(_folded(headings, item_level))
    sections = list(_sections(headings, top, reader))
    return _arranged(title, reader, opening, sections)


def _arranged(
    title: str, reader: _Reader, opening: list[Block], sections: list[Section]
) -> Structure:
    with_items = [at for at, section in enumerate(sections) if section.items]
    if not with_items:
        return Structure(title, reader.body(opening), (), ())
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
    flags: tuple[str, ...] = ()
    if children and children[-1].type == "text" and (found := _FLAGS.search(children[-1].content)):
        flags = tuple(found[1].split())
        children[-1].content = children[-1].content[: found.start()]
    url = next((str(one.attrs["href"]) for one in children if "href" in one.attrs), None)
    inner = _unwrapped([one for one in children if one.type not in ("link_open", "link_close")])
    level = int(block.tokens[0].tag[1:])
    return _Heading(
        level, block.line, plain_text(inner), document.inline_html(inner), url or None, flags
    )


def _unwrapped(tokens: list[Token]) -> list[Token]:
    """Take off a heading's own bold: every headline is bold already."""
    while tokens and tokens[0].type == "text" and not tokens[0].content:
        tokens = tokens[1:]
    while tokens and tokens[-1].type == "text" and not tokens[-1].content:
        tokens = tokens[:-1]
    strong = [at for at, one in enumerate(tokens) if one.type.startswith("strong")]
    return tokens[1:-1] if strong == [0, len(tokens) - 1] else tokens


def _take_title(headings: list[_Heading]) -> tuple[str, list[_Heading]]:
    """A lone first heading above two other levels is the issue's title, not a section."""
    if not headings or headings[0].url:
        return "", headings
    first, rest = headings[0], headings[1:]
    deeper = {one.level for one in rest}
    if len(deeper) >= _ITEM_LEVELS and min(deeper) > first.level and not first.body:
        return first.title, rest
    return "", headings


def _folded(headings: list[_Heading], item_level: int) -> Iterator[_Heading]:
    """Put headings below the items' level back into the text they stand in."""
    current: _Heading | None = None
    for heading in headings:
        if heading.level > item_level and current is not None:
            tag = f"h{min(heading.level, 6)}"
            current.body.append(_heading_block(heading, tag))
            current.body.extend(heading.body)
        else:
            current = heading
            yield heading


def _heading_block(heading: _Heading, tag: str) -> Block:
    html = Token("html_block", "", 0)
    html.content = f"<{tag}>{heading.html}</{tag}>\n"
    return Block((html,), heading.line)


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
    images: dict[str, Image]
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
        image, blocks = self._image(blocks)
        caption, blocks = self._caption(blocks, after_image=image is not None)
        one_liner, blocks = _one_liner(blocks)
        return Item(
            title=heading.title,
            line=heading.line,
            anchor=self.anchor(heading.title, "item"),
            title_html=heading.html,
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
            url = _card_url(block)
            if url is None:
                waiting.append(block)
                continue
            parts.extend(self._prose(waiting))
            waiting = []
            known = self.cards.get(url)
            parts.append(replace(known, line=block.line) if known else Card(url, block.line))
        parts.extend(self._prose(waiting))
        return tuple(parts)

    def anchor(self, title: str, kind: str) -> str:
        """Make an address within the page, unique and in ASCII."""
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

    def _image(self, blocks: list[Block]) -> tuple[Image | None, list[Block]]:
        for at, block in enumerate(blocks):
            sources = _lone_images(block)
            if sources:
                return self.images.get(sources[0]), [*blocks[:at], *blocks[at + 1 :]]
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


def _lone_images(block: Block) -> list[str]:
    if block.kind != "paragraph_open":
        return []
    allowed = ("image", "softbreak", "link_open", "link_close")
    if any(one.type not in allowed and one.content.strip() for one in block.inline):
        return []
    return [str(one.attrs.get("src", "")) for one in block.inline if one.type == "image"]


def _card_url(block: Block) -> str | None:
    if block.kind != "paragraph_open":
        return None
    tokens = [one for one in block.inline if one.type != "text" or one.content.strip()]
    match [one.type for one in tokens]:
        case ["link_open", "text", "link_close"] if tokens[1].content.strip().lower() == "card":
            return str(tokens[0].attrs.get("href", ""))
        case _:
            return None


def _one_liner(blocks: list[Block]) -> tuple[str | None, list[Block]]:
    quotes = [at for at, block in enumerate(blocks) if block.kind == "blockquote_open"]
    if not quotes:
        return None, blocks
    at = quotes[-1]
    inside = [token.type for token in blocks[at].tokens[1:-1]]
    if inside != ["paragraph_open", "inline", "paragraph_close"]:
        return None, blocks
    text = plain_text(blocks[at].tokens[2].children or [])
    return text, [*blocks[:at], *blocks[at + 1 :]]
