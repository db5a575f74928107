"""Files that travel with the program: themes, page templates, the sample newsletter."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """Return the folder or file `name` ("templates/web", "subscribers/sample.csv") we ship.

    A wheel carries them in `_shipped/`; a checkout has them beside the package.
    """
    in_wheel = _PACKAGE / "_shipped"
    return (in_wheel if in_wheel.is_dir() else _PACKAGE.parent) / name


def template_folders(newsletter: Path, kind: str) -> list[Path]:
    """Return where templates of a kind ("themes", "web") are looked up: a newsletter's own wins."""
    return [newsletter / "templates" / kind, shipped("templates") / kind]
