"""A theme: a folder of Jinja2 templates, style sheets and words, confined to itself."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings import Settings
from newsletter_bot.shipped import template_folders

_RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ku", "ps", "ur", "yi"})


@dataclass(frozen=True)
class Theme:
    """Looked up in the newsletter's own `templates/themes/` first, then in what we ship."""

    name: str
    folders: tuple[Path, ...]

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
            raise ConfigurationError(
                f"{error.filename or template}:{error.lineno}: {error.message}.",
                "Mend the theme.",
            ) from error
        except TemplateError as error:
            raise ConfigurationError(
                f"The theme {self.name!r} cannot be rendered: {error.message}.", "Mend the theme."
            ) from error

    def words(self, language: str) -> dict[str, str]:
        """Return the theme's own words in a language; English where it has none."""
        table: dict[str, dict[str, str]] = {}
        for folder in reversed(self.folders):
            path = folder / "strings.toml"
            if path.is_file():
                table.update(tomllib.loads(path.read_text(encoding="utf-8")))
        primary = language.lower().partition("-")[0]
        found = table.get(language.lower()) or table.get(primary, {})
        return {**table.get("en", {}), **found}

    @cached_property
    def _environment(self) -> ImmutableSandboxedEnvironment:
        # Sandboxed: a theme may come with a folder from somebody else. Autoescape everywhere:
        # MJML and CSS templates print text of the issue too.
        return ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(self.folders),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )


def direction(language: str) -> str:
    """Return the way a language is written: `ltr` or `rtl`."""
    return "rtl" if language.lower().partition("-")[0] in _RIGHT_TO_LEFT else "ltr"
