"""What every table [channels.NAME] understands, and what a channel is given to work with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, SecretStr

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings import ENVIRONMENT_PREFIX
from newsletter_bot.settings.tables import Table

Key = SecretStr | None
Whole = Literal["issue"]
Single = Literal["issue", "items"]
Threaded = Literal["issue", "items", "thread"]
Seconds = Annotated[float, Field(gt=0, le=600)]


class ChannelTable(Table):
    """[channels.NAME]: what is posted, and which of it carries a link."""

    posts: Single | Threaded = "issue"
    link: Literal["none", "first", "all"] = "all"
    utm: dict[Annotated[str, Field(pattern=r"^(source|medium|campaign|term|content)$")], str] = (
        Field(default_factory=dict)
    )
    timeout: Seconds = 30.0


class Tokens(Protocol):
    """Where a channel keeps tokens that change with use: the database."""

    def read(self) -> dict[str, Any]:
        """Return what was written last, or nothing."""
        ...

    def write(self, tokens: dict[str, Any]) -> None:
        """Replace them, in one transaction."""
        ...

    def alone(self) -> AbstractContextManager[bool]:
        """Hold them for one process; yields False when another holds them."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What a channel works with besides its options."""

    name: str
    folder: Path
    clock: Callable[[], float]
    tokens: Tokens

    def secret(self, options: ChannelTable, key: str) -> str:
        """Return an option that is a secret, or the content of the file `KEY_file`.

        Raises ConfigurationError when neither is there.
        """
        if found := self.optional_secret(options, key):
            return found
        place = f"channels.{self.name}.{key}"
        variable = f"{ENVIRONMENT_PREFIX}{place.replace('.', '__')}".upper()
        raise ConfigurationError(
            f"newsletter.toml: {place} is needed to post.",
            f"Set {variable}, or name a file that holds it in {key}_file.",
        )

    def optional_secret(self, options: ChannelTable, key: str) -> str:
        """Return such a secret, or nothing; raises ConfigurationError for a file not to be read."""
        value: SecretStr | None = getattr(options, key)
        if value is not None and value.get_secret_value().strip():
            return value.get_secret_value().strip()
        name: str | None = getattr(options, f"{key}_file")
        if name is None:
            return ""
        try:
            return (self.folder / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"newsletter.toml: channels.{self.name}.{key}_file: {name} cannot be read.",
                "Name a text file that holds the secret and nothing else.",
            ) from error
