"""premailer, confined: it inlines our own style sheet and fetches nothing.

premailer 3.10.0 with cssutils 2.15.0 (2026-11): cssutils fetches `@import` even with
`allow_network=False`; a lower-case doctype is dropped; width and height attributes are overwritten
by styles unless told otherwise.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

import cssutils
from premailer import Premailer

_DOCTYPE = "<!DOCTYPE html>\n"
_STYLE = re.compile(r"<style\b(?![^>]*data-premailer)")
_MARK = ' data-premailer="ignore"'


def inlined(html: str, css: str) -> str:
    """Write the rules of `css` into `style` attributes; `<style>` elements stay as they are."""
    marked = _STYLE.sub(f"<style{_MARK}", html)
    document = _Confined(
        marked,
        css_text=[css],
        allow_network=False,
        allow_loading_external_files=False,
        keep_style_tags=True,
        strip_important=False,
        disable_validation=True,
        disable_basic_attributes=["width", "height", "align", "valign", "bgcolor"],
        align_floating_images=False,
        disable_leftover_css=True,
        remove_classes=False,
        preserve_handlebar_syntax=False,
        method="html",
        cssutils_logging_level=logging.CRITICAL,
    )
    written = str(document.transform(pretty_print=False)).replace(_MARK, "")
    return _DOCTYPE + re.sub(r"\A\s*<!doctype[^>]*>\s*", "", written, flags=re.IGNORECASE)


class _Confined(Premailer):  # type: ignore[misc]
    """A premailer that cannot reach the network or the disk."""

    def _load_external(self, url: str) -> str:
        raise ValueError(f"{url} is not loaded: rendering uses no network")

    def _parse_css_string(self, css_body: str, validate: bool = True) -> Any:  # noqa: FBT001, FBT002
        return _sheet(css_body, validate)


@lru_cache(maxsize=16)
def _sheet(css: str, validate: bool) -> Any:  # noqa: FBT001
    parser = cssutils.CSSParser(
        fetcher=lambda _url: (None, b""), validate=validate, loglevel=logging.CRITICAL
    )
    return parser.parseString(css)
