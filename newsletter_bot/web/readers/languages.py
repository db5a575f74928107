"""Which of our languages a visitor reads."""

from __future__ import annotations

from fastapi import Request

LANGUAGES = ("en", "de", "fr", "ja", "zh")  # of templates/web/strings.toml


def language_of(request: Request) -> str:
    """Return the first language of Accept-Language that we have; empty for none of them."""
    wanted = []
    for place, part in enumerate(request.headers.get("accept-language", "")[:500].split(",")):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            weight = 0.0
        wanted.append((-weight, place, tag.lower().partition("-")[0]))
    return next((one for _, _, one in sorted(wanted) if one in LANGUAGES), "")
