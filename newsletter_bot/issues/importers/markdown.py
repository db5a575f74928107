"""Any Markdown with sections and items: front matter is added where there is none."""

from __future__ import annotations

import re
from pathlib import Path

from newsletter_bot.issues.importers import Imported

description = "Markdown that already has headings for sections and items."

_FRONT = re.compile(r"(---|\+\+\+)[ \t]*\n(.*?)^\1[ \t]*$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^(```|~~~).*?(?:^\1|\Z)", re.MULTILINE | re.DOTALL)
_IMAGE = re.compile(r"!\[[^\[\]]*\]\(([^)\s]+)\)")


def convert(text: str, source: Path) -> Imported:
    """Keep the text; write identity and title above it when it has no front matter."""
    images = tuple(one for one in _IMAGE.findall(text) if "://" not in one)
    identity = re.sub(r"[^A-Za-z0-9._-]+", "-", source.stem).strip("-.")[:64] or "imported"
    headings = re.findall(r"^(#{1,6})\s", _FENCED.sub("", text), re.MULTILINE)
    levels = sorted(set(headings), key=len)
    counts = [headings.count(level) for level in levels[-2:]]
    sections, items = counts if len(counts) > 1 else (1, counts[0] if counts else 0)
    if front := _FRONT.match(text):
        declared = re.search(r"^issue\s*[:=]\s*[\"']?([\w.-]+)", front[2], re.MULTILINE)
        identity = declared[1] if declared else identity
    else:
        text = f"---\nissue: {identity}\nstatus: draft\n---\n{text}"
    return Imported(identity, text, images=images, sections=sections, items=items)
