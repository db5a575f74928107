"""ALTCHA's widget as we serve it ourselves: files whose address changes with their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import Response

from newsletter_bot.shipped import template_folders

_TYPES = {
    "altcha.css": "text/css",
    "altcha.min.js": "text/javascript",
    "pbkdf2.js": "text/javascript",
    "sign-up.js": "text/javascript",
    "LICENSE.txt": "text/plain",
}
_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    # A worker obeys the policy it came with: it computes, and loads nothing.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def read_widget(newsletter: Path) -> dict[str, bytes]:
    """Return the files of the widget; those of the newsletter's own `templates/web/proof/` win."""
    folders = [one / "proof" for one in template_folders(newsletter, "web")]
    return {name: _first(folders, name).read_bytes() for name in _TYPES}


def folder_name(files: Mapping[str, bytes]) -> str:
    """Return the name of their folder, which says their content: they name each other by it."""
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(f"{name} {len(content)} ".encode() + content)
    return whole.hexdigest()[:20]


def add_widget(app: FastAPI, files: Mapping[str, bytes]) -> None:
    """Answer `/subscribe/assets/…`, for ever the same."""
    folder = folder_name(files)

    @app.api_route("/subscribe/assets/{asked}/{name}", methods=["GET", "HEAD"])
    async def file(asked: str, name: str) -> Response:
        if asked != folder or name not in files:
            raise HTTPException(404)
        return Response(files[name], media_type=_TYPES[name], headers=_HEADERS)


def _first(folders: list[Path], name: str) -> Path:
    return next(one / name for one in folders if (one / name).is_file())
