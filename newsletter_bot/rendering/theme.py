"""A theme: a folder of Jinja2 templates, style sheets and words, confined to itself."""

from __future__ import annotations

import tomllib
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings import Settings
from newsletter_bot.shipped import template_folders

# What the code of a template can raise by itself: a sum of text and number, a division by zero, …
_MISTAKES = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ku", "ps", "ur", "yi"})


@dataclass(frozen=True)
class Theme:
    """Looked up in the newsletter's own `templates/themes/` first, then in what we ship."""

    name: str
    folders: tuple[Path, ...]
    escape: bool = True  # False where plain text is written

    @classmethod
    def of(cls, settings: Settings) -> Theme:
        """Find the configured theme; raises ConfigurationError naming those there are."""
        name = settings.newsletter.theme
        places = template_folders(settings.folder, "themes")
        folders = tuple(place / name for place in places if (place / name).is_dir())
        if not folders or "/" in name or name.startswith("."):
            known = {one.name for place in places if place.is_dir() for one in place.iterdir()}
            raise ConfigurationError(
                f"newsletter.toml: newsletter.theme: there is no theme {name!r}.",
                f"Known themes: {', '.join(sorted(known))}.",
            )
        return cls(name, folders)

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Fill a template; raises ConfigurationError with the template's file and line."""
        try:
            return self._environment.get_template(template).render(values)
        except TemplateSyntaxError as error:
            where = f"{error.filename or template}:{error.lineno}"
            raise ConfigurationError(f"{where}: {error.message}.", "Mend the theme.") from error
        except _MISTAKES as error:
            where, reason = self._place(error) or template, str(error).rstrip(".")
            raise ConfigurationError(
                f"{where}: the theme {self.name!r} cannot be rendered: {reason}.", "Mend the theme."
            ) from error

    def words(self, language: str) -> dict[str, str]:
        """Return the theme's own words in a language; English where it has none.

        Raises ConfigurationError for a strings.toml that cannot be read.
        """
        primary = language.lower().partition("-")[0]
        tables = self._strings()
        order = dict.fromkeys(("en", primary, language.lower()))
        return {k: v for one in order for table in tables for k, v in table.get(one, {}).items()}

    def spoken(self, language: str) -> str:
        """Return the language that `words` speaks when asked for this one."""
        primary = language.lower().partition("-")[0]
        known = {one for table in self._strings() for one in table}
        return next((one for one in (language.lower(), primary) if one in known), "en")

    def _strings(self) -> list[dict[str, dict[str, str]]]:
        """Read the tables of words, those that win last."""
        files = [folder / "strings.toml" for folder in reversed(self.folders)]
        return [_tables(path) for path in files if path.is_file()]

    def _place(self, error: BaseException) -> str | None:
        """Return the template's `file:line` in which an error came up."""
        folders = tuple(str(folder) for folder in self.folders)
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename.startswith(folders):
                return f"{frame.filename}:{frame.lineno}"
        return None

    @cached_property
    def _environment(self) -> _Sandbox:
        # Autoescape in all mark-up: MJML and CSS templates print text of the issue too.
        return _Sandbox(
            loader=FileSystemLoader(self.folders),
            undefined=StrictUndefined,
            autoescape=self.escape,
            trim_blocks=True,
            lstrip_blocks=True,
        )


class _Sandbox(ImmutableSandboxedEnvironment):
    """Confines a theme that came from somebody else to what it is meant to see.

    Jinja2's own sandbox guards Python's insides, not the disk behind a path (`read_text`) or behind
    pydantic's methods (`parse_file`), nor the secrets in our settings.
    """

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse paths and settings, and a model's methods."""
        closed = (PurePath, Settings)
        if isinstance(obj, closed) or isinstance(value, closed):
            return False
        if isinstance(obj, BaseModel) and callable(value):
            return False
        return super().is_safe_attribute(obj, attr, value)


def _tables(path: Path) -> dict[str, dict[str, str]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigurationError(f"{path}: {error}.", "Mend the theme.") from error
    for language, table in tables.items():
        if not isinstance(table, dict) or not all(isinstance(one, str) for one in table.values()):
            raise ConfigurationError(
                f"{path}: {language!r} is no table of words.", 'Write [en], then view = "…".'
            )
    return tables


def direction(language: str) -> str:
    """Return the way a language is written: `ltr` or `rtl`."""
    return "rtl" if language.lower().partition("-")[0] in _RIGHT_TO_LEFT else "ltr"
