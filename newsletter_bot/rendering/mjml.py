r"""MJML → HTML by mrml, spared what mrml (6.0.1, mjml-python 1.4.2, 2026-11) gets wrong.

mrml prints attributes with Rust's debug format: a newline, ideographic space, emoji or backslash
in any attribute comes out as an escape like `\u{3000}`. Character references pass through, so
`prepared` writes every such character as one. It validates nothing, and crashes the process on
10,000 nested tags, so `faults` looks first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mjml import mjml2html

from newsletter_bot.errors import ConfigurationError

_TAG = re.compile(r"""<(/?)([A-Za-z][\w-]*)((?:\s+[\w:-]+(?:\s*=\s*"[^"]*")?)*)\s*(/?)>""")
_TAG_OR_NEARLY = re.compile(_TAG.pattern + r"|</?[A-Za-z][^<>]*>?")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ATTRIBUTE = re.compile(r'([\w:-]+)\s*=\s*"([^"]*)"')
_QUOTED = re.compile(r'"[^"]*"')
_TITLE = re.compile(r"(<mj-title>)(.*?)(?=</mj-title>)", re.DOTALL)
_UNSAFE = re.compile(r"[^\x20-\x5b\x5d-\x7e]")
_BARE_ZERO = re.compile(r"(?<![\w.#-])0(?![\w.%])")
_PADDING = re.compile(r'(\s(?:inner-)?padding=")([^"]*)"')
_CORRUPTED = re.compile(r"\\u\{[0-9a-f]+\}")
_DEEPEST = 64
_EVERYWHERE = {"css-class", "mj-class"}


def to_html(mjml: str, theme: str) -> str:
    """Compile MJML; raises ConfigurationError naming the theme and what is wrong in it."""
    wrong = list(faults(mjml))
    if wrong:
        raise ConfigurationError(
            f"The theme {theme!r} writes MJML that is not valid:\n" + "\n".join(wrong[:20]),
            "Mend the theme's templates; docs/themes.md says what they may hold.",
        )
    try:
        # fonts={}: with the default, mrml adds a Google Fonts link, which premailer would fetch.
        html: str = mjml2html(prepared(mjml), fonts={}, disable_comments=False)
    except ValueError as error:
        raise ConfigurationError(
            f"The theme {theme!r} writes MJML that cannot be read: {_placed(str(error), mjml)}",
            "Mend the theme's templates; docs/themes.md says what they may hold.",
        ) from error
    for tag in _TAG.finditer(html):
        if _CORRUPTED.search(tag[3]):
            raise ConfigurationError(
                f"mrml corrupted an attribute of the theme {theme!r}: {tag[0][:200]}",
                "Leave the character out, and report this as a bug.",
            )
    return html


def prepared(mjml: str) -> str:
    """Write attributes so that mrml prints them as they are, and `0` paddings with their unit.

    The text of `mj-title` is one of them: mrml prints it again as an `aria-label`.
    """
    titled = _TITLE.sub(lambda one: one[1] + _UNSAFE.sub(_reference, one[2]), mjml)
    return _TAG.sub(_prepared_tag, titled)


def faults(mjml: str) -> Iterator[str]:
    """Say what MJML's own rules forbid: unknown elements and attributes, wrong parents, depth.

    Attributes are in double quotes: mrml lets a quote inside a single-quoted one break out of it.
    """
    rules = _rules()
    open_tags: list[str] = []
    text = _COMMENT.sub(lambda one: "\n" * one[0].count("\n"), mjml)
    for tag in _TAG_OR_NEARLY.finditer(text):
        name, closing = tag[2], tag[1]
        if name is None:
            line = text.count("\n", 0, tag.start()) + 1
            yield f"line {line}: {tag[0][:60]} is no tag with its attributes in double quotes"
        elif closing:
            if name in open_tags:
                del open_tags[len(open_tags) - 1 - open_tags[::-1].index(name) :]
        else:
            yield from _element_faults(rules, open_tags, tag)
            if not tag[4] and name.lower() not in ("br", "hr", "img", "meta", "link"):
                open_tags.append(name)
        if len(open_tags) > _DEEPEST:
            yield f"elements nested deeper than {_DEEPEST} levels"
            return


def _element_faults(
    rules: dict[str, Any], open_tags: list[str], tag: re.Match[str]
) -> Iterator[str]:
    name = tag[2]
    if name != "mjml" and not name.startswith("mj-"):
        return
    line = tag.string.count("\n", 0, tag.start()) + 1
    components, children = rules["components"], rules["dependencies"]
    parent = open_tags[-1] if open_tags else ""
    if parent == "mj-attributes" or name == "mjml":
        return
    if name not in components and name not in children:
        yield f"line {line}: <{name}> is not an element of MJML"
        return
    allowed = children.get(parent)
    if isinstance(allowed, list) and name not in [one for one in allowed if isinstance(one, str)]:
        yield f"line {line}: <{name}> cannot stand in <{parent}>"
    known = components.get(name, {}).get("attrs", {})
    for attribute in _ATTRIBUTE.finditer(tag[3]):
        if known and attribute[1] not in known and attribute[1] not in _EVERYWHERE:
            yield f"line {line}: <{name}> has no attribute {attribute[1]}"


@cache
def _rules() -> dict[str, Any]:
    path = Path(__file__).with_name("mjml-rules.json")
    rules: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return rules


def _prepared_tag(tag: re.Match[str]) -> str:
    text = tag[0]
    if "adding=" not in text and not _UNSAFE.search(text):
        return text
    text = _PADDING.sub(lambda one: f'{one[1]}{_BARE_ZERO.sub("0px", one[2])}"', text)
    return _QUOTED.sub(lambda quoted: _UNSAFE.sub(_reference, quoted[0]), text)


def _reference(character: re.Match[str]) -> str:
    return " " if character[0] in "\r\n\t" else f"&#{ord(character[0])};"


def _placed(reason: str, mjml: str) -> str:
    """Turn mrml's byte offsets into a line."""
    found = re.search(r"position (\d+)", reason)
    if found is None:
        return reason
    line = mjml.encode()[: int(found[1])].count(b"\n") + 1
    return f"{reason} (about line {line} of the MJML)"
