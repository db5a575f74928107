"""The secret behind unsubscribe links and bounce addresses."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings import ENVIRONMENT_PREFIX, Settings


def signing_secret(settings: Settings) -> bytes:
    """Return the secret behind unsubscribe links and bounce addresses.

    It is `secret` from the environment, else the content of `secret_file`. Losing it breaks every
    link already mailed, so a missing one is an error, never silently made anew.
    """
    if settings.secret:
        return settings.secret.encode()
    path = settings.folder / settings.secret_file
    try:
        found = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"The signing secret {path} cannot be read: {error.strerror}.",
            f"Restore that file from a backup, set {ENVIRONMENT_PREFIX}SECRET,"
            " or for a new newsletter run `newsletter-bot init`.",
        ) from error
    if len(found) < 32:  # noqa: PLR2004 - 128 bits, written as hexadecimal digits
        raise ConfigurationError(
            f"The signing secret in {path} is shorter than 32 characters.",
            "Restore it from a backup, or for a new newsletter run `newsletter-bot init`.",
        )
    return found.encode()


def write_secret(path: Path) -> None:
    """Make a new signing secret at `path`, readable by its owner only; an old one is kept."""
    if path.exists():
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32) + "\n")
