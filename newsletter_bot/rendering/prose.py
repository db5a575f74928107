"""An issue's HTML fragments, prepared for where they are shown: links, pictures, classes."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape

_TAG = re.compile(r'<([a-z][a-z0-9]*)((?: [a-z]+="[^"]*")*)( /)?>')
_ATTRIBUTE = re.compile(r' ([a-z]+)="([^"]*)"')

Attributes = dict[str, str]
Dress = Callable[[str, Attributes], str | None]


def dressed(html: str, dress: Dress) -> str:
    """Let `dress` change each opening tag's attributes, or replace a void tag by HTML it returns.

    The fragments are what sanitising wrote: every attribute double-quoted, every value escaped.
    """

    def replace(tag: re.Match[str]) -> str:
        attributes = {name: unescape(value) for name, value in _ATTRIBUTE.findall(tag[2])}
        replacement = dress(tag[1], attributes)
        if replacement is not None:
            return replacement
        written = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
        return f"<{tag[1]}{written}{tag[3] or ''}>"

    return _TAG.sub(replace, html)
