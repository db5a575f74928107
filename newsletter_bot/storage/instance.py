"""Tells the database this machine works on from a copy of it: a backup put back, a cloned disk.

A mark that changes all the time stands in the database and in a file of this machine. A copy of
the database has an old mark, and another machine has no file: both are a copy, which does nothing
by itself until an operator says that it is the one to go on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects import postgresql, sqlite

from newsletter_bot.errors import UnavailableError
from newsletter_bot.settings import Settings
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import instances, issues

_ID = 12  # bytes
_CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))


class Instance:
    """This machine's standing towards one database."""

    def __init__(
        self, engine: Engine, folder: Path, clock: Callable[[], float] = time.time
    ) -> None:
        """`folder` belongs to the machine alone: it is not part of what is backed up."""
        self._engine = engine
        self._clock = clock
        address = engine.url.set(password=None)
        if address.database and engine.dialect.name == "sqlite":
            address = address.set(database=str(Path(address.database).resolve()))
        name = hashlib.sha256(str(address).encode()).hexdigest()[: 2 * _ID]
        self._path = folder / f"{name}.json"

    def objection(self) -> str:
        """Return why this machine may not act on the database; empty when it may."""
        with self._held() as known, reading(self._engine) as connection:
            return self._objection(known, connection)

    def adopt(self) -> None:
        """Say that this machine is the one to go on, from now."""
        with self._held() as known:
            known.setdefault("machine", secrets.token_hex(_ID))
            known["hardware"] = sorted(_hardware())
            self._mark(known)

    def mark(self) -> str:
        """Change the mark, here and there; returns why that may not be done, like `objection`."""
        with self._held() as known:
            with reading(self._engine) as connection:
                why = self._objection(known, connection)
            if not why:
                known.setdefault("machine", secrets.token_hex(_ID))
                known.setdefault("hardware", sorted(_hardware()))
                self._mark(known)
            return why

    def _objection(self, known: dict[str, Any], connection: Connection) -> str:
        marks = self._marks(known.get("machine", ""), connection)
        if marks:
            hardware = _hardware()
            if hardware and known.get("hardware") and not hardware & set(known["hardware"]):
                return "this disk was cloned from another machine"
            if marks[0] not in known["marks"]:
                return "this database is a copy: it was restored from a backup"
            return ""
        others = connection.execute(select(func.count()).select_from(instances)).scalar_one()
        if others:
            return "this database belongs to another machine, or the newsletter was moved"
        used = connection.execute(select(issues.c.id).limit(1)).first() is not None
        if known and used:
            return "this database is a copy: it is older than what this machine did"
        return ""

    def _mark(self, known: dict[str, Any]) -> None:
        values = {"mark": secrets.token_hex(_ID), "seen_at": int(self._clock())}
        with self._engine.begin() as connection:
            # The file first, with both: whichever the database has after a crash is a known one.
            known["marks"] = [*self._marks(known["machine"], connection), values["mark"]]
            self._write(known)
            self._insert(known["machine"], values, connection)
        known["marks"] = [values["mark"]]
        self._write(known)

    @staticmethod
    def _insert(machine: str, values: dict[str, Any], connection: Connection) -> None:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(
            insert(instances)
            .values(machine=machine, adopted_at=values["seen_at"], **values)
            .on_conflict_do_update(index_elements=["machine"], set_=values)
        )

    @staticmethod
    def _marks(machine: str, connection: Connection) -> list[str]:
        statement = select(instances.c.mark).where(instances.c.machine == machine)
        return list(connection.execute(statement).scalars())

    @contextmanager
    def _held(self) -> Iterator[dict[str, Any]]:
        """Read the machine's file, and keep other processes from it meanwhile."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.with_suffix(".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield self._read()
        except OSError as error:
            raise UnavailableError(
                f"{self._path} cannot be written: {error.strerror}.",
                "Set service.state_folder in newsletter.toml to a folder of this machine.",
            ) from error

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, known: dict[str, Any]) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(known, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def state_folder(settings: Settings) -> Path:
    """Return where this machine keeps what must not travel with a backup."""
    chosen = settings.service.state_folder
    if chosen:
        return settings.folder / chosen
    given = os.environ.get("STATE_DIRECTORY")  # of systemd
    if given:
        return Path(given.split(":")[0])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "newsletter-bot"


def _hardware() -> set[str]:
    """Return what tells this machine from its clones; nothing where that changes by itself."""
    if any(path.exists() for path in _CONTAINERS):
        return set()
    found = set()
    for path in Path("/sys/class/net").glob("*/address"):
        if (path.parent / "device").exists():  # a card, not a bridge or a tunnel
            found.add(hashlib.sha256(path.read_bytes()).hexdigest()[: 2 * _ID])
    return found
