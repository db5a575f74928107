"""The newsletter's folder: secrets that can be read, by nobody else; room on the disk."""

from __future__ import annotations

import re
import shutil
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from newsletter_bot.delivery.composing.dkim_keys import USUAL_BITS, Algorithm, read_key
from newsletter_bot.delivery.composing.senders import senders_of, signer_of
from newsletter_bot.errors import NewsletterError
from newsletter_bot.service.doctor.model import Check, error, explained, warning, well
from newsletter_bot.settings import FILE_NAME, Settings
from newsletter_bot.settings.secret import signing_secret

_GIGABYTE = 1_000_000_000
_LITTLE = _GIGABYTE
_TOO_LITTLE = _GIGABYTE // 5
# What systems mount secrets into (systemd's credentials, Docker's secrets) has their permissions.
_MOUNTED = Path("/run")
_SECRET = re.compile(r"(^|_)(password|secret|token|api_key|signing_key|access_key)$")


def look(settings: Settings) -> Iterator[Check]:
    """Look at what lies in the folder and beside it."""
    yield _secret(settings)
    yield from _secret_files(settings)
    yield from _in_clear(settings.folder / FILE_NAME)
    yield _postal_address(settings)
    yield from _signing(settings)
    yield disk("disk", settings.folder)


def _secret(settings: Settings) -> Check:
    try:
        signing_secret(settings)
    except NewsletterError as found:
        return explained("secret", found)
    return well("secret", "the secret behind links and tokens is there")


def disk(name: str, place: Path) -> Check:
    """Tell how much room there is where something is written."""
    free = shutil.disk_usage(place).free
    said = f"{free / _GIGABYTE:,.1f} GB are free at {place.resolve()}"
    if free < _TOO_LITTLE:
        return error(name, f"Only {said}.", "Make room: without it nothing can be sent.")
    if free < _LITTLE:
        return warning(name, f"Only {said}.", "Make room soon.")
    return well(name, said)


def named_files(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Return all files of secrets that a table names, each with its key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            where = f"{place}.{key}" if place else str(key)
            if isinstance(inner, str) and inner and str(key).endswith("_file"):
                yield where, inner
            else:
                yield from named_files(inner, where)
    elif isinstance(value, list | tuple):
        for inner in value:
            name = inner.get("name") if isinstance(inner, dict) else None
            yield from named_files(inner, f"{place}.{name}" if name else place)


def _secret_files(settings: Settings) -> Iterator[Check]:
    files = dict(named_files(settings.model_dump()))
    if settings.secret or not (settings.folder / settings.secret_file).is_file():
        files.pop("secret_file", None)  # not used; or missed above already
    found = [_secret_file(key, settings.folder / name) for key, name in files.items()]
    wrong = [one for one in found if one is not None]
    yield from wrong
    if not wrong:
        yield well("secret files", f"nobody else can read them ({len(found)})")


def _secret_file(key: str, path: Path) -> Check | None:
    try:
        mode = path.stat().st_mode
        path.open("rb").close()
    except OSError as found:
        return error(
            key,
            f"{path} cannot be read: {found.strerror}.",
            f"Restore the file, or correct {key} in {FILE_NAME}.",
        )
    if path.resolve().is_relative_to(_MOUNTED):
        return None
    mend = f"chmod 600 {path}"
    if mode & stat.S_IROTH:
        return error(key, f"Everybody on this machine can read {path}.", mend)
    if mode & stat.S_IRGRP:
        return warning(key, f"The group of {path} can read it.", mend)
    return None


def _in_clear(path: Path) -> Iterator[Check]:
    """Tell of secrets in newsletter.toml itself, which is made to be shared."""
    written = sorted(set(_secrets_in(tomllib.loads(path.read_text(encoding="utf-8")))))
    if written:
        yield warning(
            FILE_NAME,
            f"It holds secrets: {', '.join(written)}.",
            "Move each into a file of its own and name that with _file behind the key, or set it"
            " in the environment: this file is copied and shared.",
        )


def _secrets_in(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            where = f"{place}.{key}" if place else key
            if isinstance(inner, str) and inner and _SECRET.search(key):
                yield where
            yield from _secrets_in(inner, where)
    elif isinstance(value, list):
        for inner in value:
            yield from _secrets_in(inner, place)


def _signing(settings: Settings) -> Iterator[Check]:
    """Look whether the keys can sign, and for whom mail is sent; what DNS has is another check."""
    if settings.dkim is None:
        return
    name = "signing"
    try:
        signer_of(settings, senders_of(settings).values())
        key = read_key(settings.folder / settings.dkim.key_file, Algorithm.RSA)
    except NewsletterError as found:
        yield explained(name, found)
        return
    if key.bits < USUAL_BITS:
        yield warning(
            name,
            f"The DKIM key has {key.bits} bits; Gmail recommends {USUAL_BITS}.",
            "newsletter-bot dkim generate --selector … --key-file …: docs/deliverability.md.",
        )
    else:
        yield well(name, f"messages are signed for {settings.dkim.domain}, {key.bits} bits")


def _postal_address(settings: Settings) -> Check:
    name = "postal address"
    if settings.newsletter.postal_address.strip():
        return well(name, settings.newsletter.postal_address)
    return error(
        name,
        "The newsletter has no postal address, which the law asks for; nothing can be sent.",
        f"Set newsletter.postal_address in {FILE_NAME}.",
    )
