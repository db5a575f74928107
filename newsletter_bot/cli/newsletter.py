"""Commands on a newsletter's folder: init."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from rich.markup import escape

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.errors import DataError
from newsletter_bot.settings import FILE_NAME
from newsletter_bot.settings.secret import write_secret
from newsletter_bot.shipped import shipped


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@pass_session
def init(session: Session, folder: Path) -> None:
    """Make a new newsletter in DIR: configuration, a signing secret, an empty issues folder."""
    if (folder / FILE_NAME).exists():
        raise DataError(f"{folder / FILE_NAME} exists already.", "Edit it, or name another folder.")
    scaffold(folder, sample=False)
    session.emit({"folder": str(folder)})
    session.console.print(
        f"Made {escape(str(folder))}. Next: fill in {FILE_NAME}, then"
        f" newsletter-bot -C {escape(str(folder))} new"
    )


def scaffold(folder: Path, *, sample: bool) -> None:
    """Write what a newsletter needs into `folder`; files that are there already stay."""
    source = shipped("templates/newsletter")
    (folder / "issues").mkdir(parents=True, exist_ok=True)
    _copy(source / FILE_NAME, folder / FILE_NAME)
    _copy(source / ".gitignore", folder / ".gitignore")
    _copy(shipped("subscribers/README.md"), folder / "subscribers" / "README.md")
    write_secret(folder / "secret.key")
    if sample:
        _copy(shipped("subscribers/sample.csv"), folder / "subscribers" / "sample.csv")
        for path in sorted(shipped("subscribers/segments").glob("*.toml")):
            _copy(path, folder / "subscribers" / "segments" / path.name)
        for path in sorted((source / "issues").rglob("*")):
            if path.is_file():
                _copy(path, folder / path.relative_to(source))


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
