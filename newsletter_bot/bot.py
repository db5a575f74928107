"""Composition root: Settings → Bot, everything wired; the only file that knows every folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from newsletter_bot import settings as configuration
from newsletter_bot.settings import Settings
from newsletter_bot.storage.engine import open_engine


class Bot:
    """One newsletter's folder, with its database opened when first needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @classmethod
    def open(cls, folder: Path) -> Bot:
        """Read the folder's configuration; raises ConfigurationError."""
        return cls(configuration.load(folder))

    def close(self) -> None:
        """Let go of the database, when it was opened."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    @cached_property
    def engine(self) -> Engine:
        """The database, its tables up to date."""
        return open_engine(self.settings.database.url, self.settings.folder)

    @cached_property
    def secret(self) -> bytes:
        """The secret behind links, tokens and suppression hashes."""
        return configuration.signing_secret(self.settings)
