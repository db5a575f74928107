"""Commands on DKIM: generate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parseaddr
from pathlib import Path

import click
from rich.markup import escape

from newsletter_bot.cli.session import Session, pass_session
from newsletter_bot.delivery.composing.dkim import domain_of
from newsletter_bot.delivery.composing.dkim_keys import (
    FEWEST_BITS,
    MOST_BITS,
    USUAL_BITS,
    Algorithm,
    Record,
    read_key,
    write_key,
)
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings import FILE_NAME, Settings, load, read_options
from newsletter_bot.settings.tables import DkimTable

_REQUIRED = {"domain": "", "selector": "nb1", "key_file": "dkim.pem"}  # with what we propose


@click.group()
def dkim() -> None:
    """Keys that sign messages."""


@dkim.command()
@click.option(
    "--bits",
    type=click.IntRange(FEWEST_BITS, MOST_BITS),
    default=USUAL_BITS,
    help="Length of a new RSA key.",
)
@click.option("--ed25519", is_flag=True, help="A second key, for a second signature.")
@click.option("--domain", help="The signing domain.")
@click.option("--selector", help="The name of the RSA key in DNS.")
@click.option("--key-file", help="Where the RSA key lies, from the newsletter's folder.")
@pass_session
def generate(session: Session, /, *, bits: int, ed25519: bool, **options: str | None) -> None:
    """Make the private key where there is none, and print the DNS record of its public half."""
    settings = load(session.folder)
    table = _table(settings, options, ed25519=ed25519)
    records: list[Record] = []
    made: list[str] = []
    for selector, file, algorithm in _keys(table):
        path = settings.folder / file
        if _make(path, algorithm, bits):
            made.append(str(path))
        else:
            session.console.print(f"{escape(str(path))} is there already and stays as it is.")
        records.append(read_key(path, algorithm).record(selector, domain_of(table)))
    lines = _lines(table.model_dump(exclude_none=True))
    session.emit(
        {
            "records": [{"name": one.name, "type": "TXT", "value": one.value} for one in records],
            "made": made,
            "configuration": lines,
        }
    )
    _print(session, records, made, "" if table == settings.dkim else lines)


def _table(settings: Settings, options: Mapping[str, str | None], *, ed25519: bool) -> DkimTable:
    """Return [dkim] with the options over it; raises ConfigurationError when something lacks."""
    wanted = settings.dkim.model_dump(exclude_none=True) if settings.dkim else {}
    wanted |= {key: value for key, value in options.items() if value}
    if not wanted.keys() >= _REQUIRED.keys():
        sender = parseaddr(settings.newsletter.from_)[1].rpartition("@")[2]
        raise ConfigurationError(
            f"{settings.folder / FILE_NAME} has no table [dkim].",
            "Add these lines, with a domain of yours, and run the command again:\n\n"
            + _lines({**_REQUIRED, "domain": sender, **wanted}),
        )
    if ed25519 and "ed25519_selector" not in wanted:
        file = Path(wanted["key_file"])
        wanted["ed25519_selector"] = f"{wanted['selector']}e"
        wanted["ed25519_key_file"] = str(file.with_name(f"{file.stem}-ed25519{file.suffix}"))
    return read_options(DkimTable, wanted, "dkim", settings.folder)


def _keys(table: DkimTable) -> list[tuple[str, str, Algorithm]]:
    keys = [(table.selector, table.key_file, Algorithm.RSA)]
    if table.ed25519_selector and table.ed25519_key_file:
        keys.append((table.ed25519_selector, table.ed25519_key_file, Algorithm.ED25519))
    return keys


def _make(path: Path, algorithm: Algorithm, bits: int) -> bool:
    try:
        write_key(path, algorithm, bits)
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigurationError(
            f"The DKIM key {path} cannot be written: {error.strerror}.",
            "Make its folder, or name another file in [dkim] of newsletter.toml.",
        ) from error
    return True


def _lines(table: Mapping[str, str]) -> str:
    """Write the table for newsletter.toml (TOML's strings are those of JSON)."""
    values = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items())
    return "\n".join(("[dkim]", *values))


def _print(session: Session, records: list[Record], made: list[str], lines: str) -> None:
    say = session.console.print
    for path in made:
        say(f"Made {escape(path)}, readable by you alone. Back it up; show it to nobody.")
    say("\nPublish in DNS:\n")
    for record in records:
        say(escape(record.zone_line))
    if lines:
        say(f"\nIn {FILE_NAME}, once DNS answers with it:\n\n{escape(lines)}")
