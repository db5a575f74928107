"""The templates of posts, confined to the plain texts they are given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.shipped import template_folders

USUAL = "post.txt.j2"
_MISTAKES = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class PostTemplates:
    """`templates/social/`: a newsletter's own folder wins over what we ship."""

    folder: Path

    def render(self, channel: str, values: Mapping[str, object]) -> str:
        """Fill CHANNEL.txt.j2, else post.txt.j2; raises ConfigurationError for a faulty one."""
        try:
            template = self._environment.select_template([f"{channel}.txt.j2", USUAL])
            return _tidy(template.render(values))
        except TemplateSyntaxError as error:
            where = f"{error.filename or USUAL}:{error.lineno}"
            raise ConfigurationError(f"{where}: {error.message}.", "Mend the template.") from error
        except (TemplateError, *_MISTAKES) as error:
            raise ConfigurationError(
                f"The template of posts on {channel} cannot be filled: {str(error).rstrip('.')}.",
                "Mend it in templates/social/.",
            ) from error

    @cached_property
    def _environment(self) -> ImmutableSandboxedEnvironment:
        return ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(template_folders(self.folder, "social")),
            undefined=StrictUndefined,
            autoescape=False,  # a post is plain text; a channel escapes what it must
            trim_blocks=True,
            lstrip_blocks=True,
        )


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
