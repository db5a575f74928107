"""HTML from an issue file, made harmless: an allow-list (nh3), and a report of what it removed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

import nh3

TAGS = frozenset(
    "a abbr b blockquote br caption cite code dd del div dl dt em figcaption figure h1 h2 h3 h4 h5"
    " h6 hr i img ins kbd li mark ol p pre q s samp small span strong sub sup table tbody td tfoot"
    " th thead tr u ul var".split()
)
_ATTRIBUTES = {
    "*": {"lang", "dir", "id"},
    "a": {"href", "title"},
    "abbr": {"title"},
    "img": {"src", "alt", "title", "width", "height"},
    "ol": {"start"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan"},
}
_SCHEMES = {"http", "https", "mailto"}
_FOOTNOTE = re.compile(r"fn(ref)?\d+(:\d+)?")  # the only ids kept: an id could hijack an anchor
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+))?""")
_TAG = re.compile(r"""<\s*([A-Za-z][\w:-]*)((?:[^<>"']|"[^"]*"|'[^']*')*)>?""")
_WRITTEN_TAG = re.compile(r'<([a-z0-9]+)((?: [a-z]+="[^"]*")*)>')
_ANY_TAG = re.compile(r"<(/?)[a-z][^<>]*?(/?)>")
_VOID = {"br", "hr", "img"}
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_HIDING = re.compile(r"<!--|<\?|<!\[cdata\[|<(script|style)\b")
_HIDING_ENDS = {"<!--": "-->", "<?": "?>", "<![cdata[": "]]>"}


def sanitised(html: str) -> str:
    """Return harmless HTML in which every tag is closed, as a strict parser wants it."""
    cleaned = nh3.clean(
        html,
        tags=set(TAGS),
        attributes=_ATTRIBUTES,
        attribute_filter=_keep_attribute,
        url_schemes=_SCHEMES,
        link_rel=None,
    )
    return _WRITTEN_TAG.sub(_closed, cleaned).replace("&nbsp;", "&#160;").replace("\f", " ")


@dataclass(frozen=True, slots=True)
class Tag:
    """An opening tag as an editor wrote it, and how many lines below the text's first it is."""

    name: str
    attributes: dict[str, str]
    lines_down: int


def tags_in(html: str) -> Iterator[Tag]:
    """Find the opening tags of HTML that are not commented out."""
    html = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), html)
    lines = counted = 0
    for tag in _TAG.finditer(html):
        lines += html.count("\n", counted, tag.start())
        counted = tag.start()
        attributes = {
            one[1].lower(): unescape((one[2] or "").strip("\"'"))
            for one in _ATTRIBUTE.finditer(tag[2])
        }
        yield Tag(tag[1].lower(), attributes, lines)


def removed_from(tag: Tag) -> Iterator[str]:
    """Say what sanitising takes out of a tag, in the editor's words: `<script>`, `onerror=`."""
    if tag.name not in TAGS:
        yield f"<{tag.name}>"
        return
    for name, value in tag.attributes.items():
        if name not in _ATTRIBUTES.get(tag.name, set()) | _ATTRIBUTES["*"]:
            yield f"{name}="
        elif name in ("href", "src") and not is_safe_address(value):
            yield f"{value.partition(':')[0].strip().lower()}: link"


def never_closed(html: str) -> str:
    """Return what is opened in HTML and hides all that follows, because nothing closes it."""
    lowered, at = html.lower(), 0
    while opening := _HIDING.search(lowered, at):
        end = f"</{opening[1]}" if opening[1] else _HIDING_ENDS[opening[0]]
        at = lowered.find(end, opening.end())
        if at < 0:
            return opening[0] + ">" * bool(opening[1])
    return ""


def is_balanced(html: str) -> bool:
    """Tell whether each element of a part of what `sanitised` wrote begins and ends in it."""
    depth = 0
    for tag in _ANY_TAG.finditer(html):
        depth += -1 if tag[1] else 0 if tag[2] else 1
        if depth < 0:
            return False
    return depth == 0


def nesting(html: str) -> int:
    """Return how many elements stand inside each other at most, in HTML that `sanitised` wrote."""
    depth = deepest = 0
    for tag in _ANY_TAG.finditer(html):
        depth += -1 if tag[1] else 0 if tag[2] else 1
        deepest = max(deepest, depth)
    return deepest


def is_safe_address(url: str) -> bool:
    """Tell whether a link may stay: http, https, mailto, or relative."""
    scheme = re.match(r"[\x00-\x20]*([A-Za-z][A-Za-z0-9+.-]*)[\x00-\x20]*:", unescape(url))
    return scheme is None or scheme[1].lower() in _SCHEMES


def _keep_attribute(_tag: str, name: str, value: str) -> str | None:
    if name == "id":
        return value if _FOOTNOTE.fullmatch(value) else None
    if name in ("width", "height"):
        return value if value.isdigit() else None
    return value


def _closed(tag: re.Match[str]) -> str:
    name, attributes = tag[1], tag[2]
    if "<" in attributes or ">" in attributes:  # legal in HTML, an error in XML
        attributes = attributes.replace("<", "&lt;").replace(">", "&gt;")
    return f"<{name}{attributes} />" if name in _VOID else f"<{name}{attributes}>"
