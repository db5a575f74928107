"""Kinds of a thing, each a module: found by discovery, and imported when one is used."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from newsletter_bot import settings as configuration
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.settings.tables import Table

Kind_co = TypeVar("Kind_co", covariant=True)


class Kinds(Mapping[str, Kind_co], Generic[Kind_co]):
    """The modules of a package by their names; only those that are asked for are imported.

    One kind's libraries are no matter of whoever uses another.
    """

    def __init__(self, package: str, path: Iterable[str]) -> None:
        self._package = package
        self._names = sorted(module.name for module in pkgutil.iter_modules(path))

    def __getitem__(self, name: str) -> Kind_co:
        """Import a kind; raises KeyError where there is none of that name."""
        if name not in self._names:
            raise KeyError(name)
        module: Any = importlib.import_module(f"{self._package}.{name}")
        found: Kind_co = module
        return found

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a kind, without importing it."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Yield the names, in order."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count them."""
        return len(self._names)


class KindTable(Protocol):
    """A table of newsletter.toml whose `kind` says which other keys it has."""

    @property
    def kind(self) -> str:
        """The name of its kind."""
        ...

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to this kind alone."""
        ...

    @property
    def place(self) -> str:
        """Where in newsletter.toml it stands, for messages."""
        ...


class HasOptions(Protocol):
    """What a module must offer to be chosen by a table."""

    Options: type[Table]


Chosen = TypeVar("Chosen", bound=HasOptions)


def choose(
    known: Mapping[str, Chosen], table: KindTable, folder: Path, refusal: str, listing: str
) -> tuple[Chosen, Table]:
    """Return the kind that a table names, and its checked options.

    Raises ConfigurationError: `refusal` says of a name that it is none, `listing` leads to those
    there are.
    """
    if table.kind not in known:
        raise ConfigurationError(
            f"newsletter.toml: {table.place}.kind: {table.kind!r} {refusal}.",
            f"{listing}: {', '.join(known)}.",
        )
    kind = known[table.kind]
    return kind, configuration.read_options(kind.Options, table.options, table.place, folder)
