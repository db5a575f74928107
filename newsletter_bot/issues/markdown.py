"""markdown-it-py, set up for issue files: a stream of blocks with their lines, and their HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.normalize_url import normalizeLink
from markdown_it.token import Token
from mdit_py_cjk_friendly import cjk_friendly
from mdit_py_plugins.container import container_plugin
from mdit_py_plugins.footnote import footnote_plugin

from newsletter_bot.issues import links
from newsletter_bot.issues.limits import DEEPEST, refuse_long
from newsletter_bot.issues.model import OnlyBlock
from newsletter_bot.issues.places import keep_places, lines_down, lines_down_after
from newsletter_bot.issues.problems import Problems
from newsletter_bot.issues.sanitise import (
    is_balanced,
    is_safe_address,
    nesting,
    never_closed,
    removed_from,
    sanitised,
    tags_in,
)
from newsletter_bot.issues.slots import Slots, read_conditions, warn_of_braces

_LEVELS = 4 * DEEPEST  # a list item in a list is two of the parser's levels
_DEEPEST_HTML = 48  # elements; MJML, with the theme's own around them, gets at most 64
_ONLY = "container_only"
_CODE = ("code_inline", "fence", "code_block")
_TELLING = {"%22": '"', "%5C": "\\", "%60": "`"}  # encoded away, they would hide a slip of the pen


@dataclass(frozen=True, slots=True)
class Block:
    """One top-level block: its tokens, and the line on which it begins."""

    tokens: tuple[Token, ...]
    line: int

    @property
    def kind(self) -> str:
        """The type of its first token, such as `paragraph_open`."""
        return self.tokens[0].type

    @property
    def inline(self) -> list[Token]:
        """The inline tokens of a paragraph or heading."""
        return (self.tokens[1].children or []) if len(self.tokens) > 1 else []


@dataclass
class Document:
    """A parsed file: its blocks, and what was met on the way."""

    problems: Problems
    slots: Slots
    blocks: list[Block] = field(default_factory=list)
    footnotes: tuple[Token, ...] = ()
    only_blocks: list[OnlyBlock] = field(default_factory=list)
    images: list[tuple[str, str, int]] = field(default_factory=list)  # src, alt, line
    links: list[tuple[str, str, int]] = field(default_factory=list)  # url, text, line
    complete: bool = False  # false when something was too deep or too long to go on
    env: dict[str, Any] = field(default_factory=dict)
    parser: MarkdownIt = field(default_factory=MarkdownIt)

    def html(self, tokens: Sequence[Token]) -> str:
        """Write tokens as harmless, well-formed HTML."""
        made = self._html(tokens)
        if nesting(made) > _DEEPEST_HTML:
            blocks = list(_top_level(tokens))
            deep = (one for one in blocks if nesting(self._html(one.tokens)) > _DEEPEST_HTML)
            self._refuse_depth(next(deep, blocks[0]).line)
        self._look_at_edges(tokens, made)
        return made

    def inline_html(self, tokens: Sequence[Token], line: int) -> str:
        """Write the inside of a heading on `line` as harmless, well-formed HTML."""
        renderer: Any = self.parser.renderer
        made = sanitised(renderer.renderInline(list(tokens), self.parser.options, self.env)).strip()
        if nesting(made) > _DEEPEST_HTML:
            self._refuse_depth(line)
        return made

    def _html(self, tokens: Sequence[Token]) -> str:
        renderer: Any = self.parser.renderer
        return sanitised(renderer.render(list(tokens), self.parser.options, self.env)).strip()

    def _refuse_depth(self, line: int) -> None:
        message = f"HTML nested deeper than {_DEEPEST_HTML} levels."
        self.problems.add("deep-nesting", line, message)

    def _look_at_edges(self, tokens: Sequence[Token], made: str) -> None:
        """A block shown to some must not take half an element, or its own end, with it."""
        for token in tokens:
            if token.type == f"{_ONLY}_open" and token.meta:
                _, begin, rest = made.partition(token.meta["marker"])
                inside, end, _ = rest.partition(token.meta["end"])
                if not begin or not end or not is_balanced(inside):
                    line = (token.map or [0])[0] + 1
                    message = "HTML that begins in an `only` block must end in it."
                    self.problems.add("only-block", line, message)


def parse(text: str, slots: Slots, problems: Problems) -> Document:
    """Parse Markdown whose slots were replaced by markers."""
    document = Document(problems, slots, parser=_parser())
    refuse = partial(refuse_long, problems=problems)
    document.parser.core.ruler.before("inline", "too_long", refuse)
    tokens = document.parser.parse(text, document.env)
    lines = text.split("\n")
    if any(one.rule in ("too-large", "deep-nesting") for one in problems.found):
        return document
    for token in tokens:
        if token.level >= _LEVELS and token.map:
            problems.add("deep-nesting", token.map[0] + 1, f"Nested deeper than {DEEPEST} levels.")
            return document
    _look_through(document, tokens)
    for block in _top_level(tokens):
        if block.kind == "footnote_block_open":
            document.footnotes = block.tokens
        else:
            document.blocks.append(block)
    _mark_only_blocks(document, tokens, lines)
    document.complete = True
    return document


def plain_text(tokens: Sequence[Token]) -> str:
    """Return what inline tokens say, without their marks."""
    words = []
    for token in tokens:
        if token.type in ("text", "text_special", "code_inline"):
            words.append(token.content)
        elif token.type == "image":
            words.append(plain_text(token.children or []))
        elif token.type in ("softbreak", "hardbreak"):
            words.append(" ")
    return re.sub(r"\s+", " ", "".join(words)).strip()


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "xhtmlOut": True, "maxNesting": _LEVELS + 1})
    parser.enable(["table", "strikethrough"])
    parser.use(footnote_plugin).use(cjk_friendly)
    parser.use(container_plugin, "only", validate=_is_only)
    # Unsafe addresses are taken out, and reported, by us; left alone they would print as text.
    parser.validateLink = _any_link  # type: ignore[method-assign]
    parser.normalizeLink = _normalised  # type: ignore[method-assign]
    keep_places(parser)
    for end in ("open", "close"):
        parser.add_render_rule(f"{_ONLY}_{end}", _marker_text)
    return parser


def _any_link(url: str) -> bool:
    del url
    return True


def _normalised(url: str) -> str:
    made = normalizeLink(url)
    for encoded, written in _TELLING.items():
        if written in url:
            made = made.replace(encoded, written)
    return made


def _is_only(parameters: str, markup: str) -> bool:
    return parameters.split()[:1] == ["only"] and len(markup) <= DEEPEST


def _marker_text(_self: Any, tokens: Sequence[Token], index: int, _o: Any, _env: Any) -> str:
    return f"{tokens[index].meta.get('marker', '')}\n"


def _top_level(tokens: Sequence[Token]) -> Iterator[Block]:
    start = depth = 0
    for at, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            first = tokens[start]
            yield Block(tuple(tokens[start : at + 1]), (first.map[0] if first.map else 0) + 1)
            start = at + 1


def _look_through(document: Document, tokens: Sequence[Token]) -> None:
    line = 1
    noted: dict[int, int] = {}  # where the note written within a paragraph stands
    for token in tokens:
        if token.map:
            line = token.map[0] + 1
        elif token.type == "footnote_open":
            line = noted.get(token.meta["id"], line)
        _look_at(document, token, line)
        if token.type == "inline":
            _look_through_inline(document, token.children or [], line, noted)


def _look_through_inline(
    document: Document, tokens: list[Token], line: int, noted: dict[int, int]
) -> None:
    down = 0
    for index, token in enumerate(tokens):
        down = lines_down(token, down)
        _look_at(document, token, line + down)
        if token.type == "link_open":
            _note_link(document, tokens, index, line + down)
        elif token.type == "footnote_ref":
            noted.setdefault(token.meta["id"], line + down)
        down = lines_down_after(token, down)
    written = "".join(one.content for one in tokens if one.type == "html_inline")
    _refuse_unclosed(document, written, line)


def _refuse_unclosed(document: Document, html: str, line: int) -> None:
    if opened := never_closed(html):
        message = f"{opened} is never closed and would hide everything after it."
        document.problems.add("unclosed-html", line, message)


def _look_at(document: Document, token: Token, line: int) -> None:
    if token.type in _CODE:
        token.content = document.slots.as_written(token.content)
        token.info = document.slots.as_written(token.info)
    elif token.type in ("html_block", "html_inline"):
        _look_at_html(document, token, line)
    elif token.type == "text":
        warn_of_braces(token.content, line, document.problems)
    elif token.type == "image":
        _note_image(document, token, line)
    elif token.type in ("th_open", "td_open"):
        style = str(token.attrs.pop("style", ""))
        if style:
            token.attrs["align"] = style.partition(":")[2]


def _look_at_html(document: Document, token: Token, line: int) -> None:
    if token.type == "html_block":
        _refuse_unclosed(document, token.content, line)
    for tag in tags_in(token.content):
        at = line + tag.lines_down
        for what in removed_from(tag):
            document.problems.add("removed-html", at, f"{what} is not allowed and was removed.")
        source, url = tag.attributes.get("src", ""), tag.attributes.get("href", "")
        if tag.name == "img" and source and is_safe_address(source):
            document.images.append((source, tag.attributes.get("alt", ""), at))
        if tag.name == "a" and url and is_safe_address(url) and not url.startswith("#"):
            document.links.append((url, "", at))


def _note_image(document: Document, token: Token, line: int) -> None:
    source = str(token.attrs.get("src", ""))
    alt = plain_text(token.children or [])
    if not is_safe_address(source):
        document.problems.add("removed-html", line, f"A picture from {source[:30]!r} was removed.")
        token.attrs["src"] = ""
        return
    token.meta["line"] = line
    document.images.append((source, alt, line))


def _note_link(document: Document, tokens: Sequence[Token], index: int, line: int) -> None:
    token = tokens[index]
    url = str(token.attrs.get("href", ""))
    closing = next(
        (at for at in range(index, len(tokens)) if tokens[at].type == "link_close"), len(tokens)
    )
    if not is_safe_address(url):
        document.problems.add("removed-html", line, f"The link to {url[:30]!r} was removed.")
        token.attrs.pop("href", None)
    if not url.startswith("#"):
        written = links.in_ascii(url)
        document.links.append((written, plain_text(tokens[index:closing]), line))
        if "href" in token.attrs:
            token.attrs["href"] = written


def _mark_only_blocks(document: Document, tokens: Sequence[Token], lines: list[str]) -> None:
    opened: list[Token] = []
    for token in tokens:
        line = (token.map[0] + 1) if token.map else 1
        if token.type == f"{_ONLY}_open":
            if opened:
                document.problems.add("only-block", line, "An `only` block inside another.")
            _open_only(document, token, line)
            opened.append(token)
            if token.map and not _is_closed(lines, token):
                message = "`::: only` is not closed by a `:::` line."
                document.problems.add("only-block", line, message)
                token.meta = {}
                return  # all that follows would seem to stand in it
        elif token.type == f"{_ONLY}_close" and opened:
            token.meta = {"marker": opened.pop().meta["end"]}
        elif token.type == "heading_open" and opened:
            message = "A heading cannot stand in an `only` block: it would hide an item or section."
            document.problems.add("only-block", line, message)


def _open_only(document: Document, token: Token, line: int) -> None:
    words = document.slots.as_written(token.info.strip().removeprefix("only"))
    slots = document.slots
    conditions = read_conditions(words, line, slots.known_fields, document.problems)
    begin, end = slots.marker("b"), slots.marker("e")
    token.meta = {"marker": begin, "end": end}
    document.only_blocks.append(OnlyBlock(conditions, begin, end, line))


def _is_closed(lines: list[str], token: Token) -> bool:
    begin, end = token.map or (0, 0)
    if end >= len(lines):
        return False
    # In a quote the marks of the quote stand before the colons.
    quotes = lines[begin].partition(":")[0].count(">")
    return bool(re.fullmatch(rf"[\s>]*:{{{len(token.markup)},}}\s*", lines[end])) and (
        lines[end].count(">") == quotes
    )
