"""A provider's secret: from the settings, the environment, or a file of its own."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from newsletter_bot.errors import ConfigurationError


def secret_of(name: str, value: SecretStr, file: str, folder: Path, *, needed: bool = True) -> str:
    """Return the secret of the option `name`, or what stands in its `{name}_file`.

    Empty when there is none and none is `needed`. Raises ConfigurationError, also for one that no
    HTTP header can hold: the library would show it in the words of its error.
    """
    found = _in_file(f"{name}_file", folder / file) if file else value.get_secret_value().strip()
    if not found and needed:
        raise ConfigurationError(
            f"newsletter.toml: the transport needs {name}, and there is none.",
            f"Write it into a file, readable by you alone, and name that in {name}_file.",
        )
    if not (found.isascii() and found.isprintable()):
        raise ConfigurationError(
            f"newsletter.toml: {name} holds a line break, or a character beyond ASCII.",
            "Copy it anew from the provider's page, alone on one line.",
        )
    return found


def _in_file(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(
            f"newsletter.toml: {name}: {path} cannot be read: {why}.",
            "Write the secret into that file, readable by you alone.",
        ) from error
