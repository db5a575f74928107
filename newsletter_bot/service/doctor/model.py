"""The words of `doctor`: a check, how bad what it found is, and how long a check may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from newsletter_bot.delivery.calls.model import Finding
from newsletter_bot.errors import NewsletterError

Look = Callable[[], Iterable["Check"]]


class Level(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARNING = "warning"  # works, and will not for long or not for everybody
    ERROR = "error"  # does not work


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: Level
    message: str
    next_step: str = ""

    def to_json(self) -> dict[str, object]:
        """Return it as scripts read it."""
        return {
            "name": self.name,
            "ok": self.level is not Level.ERROR,
            "level": self.level.value,
            "message": self.message,
            "next_step": self.next_step,
        }


def well(name: str, message: str) -> Check:
    """Say that a thing is in order."""
    return Check(name, Level.OK, message)


def warning(name: str, message: str, next_step: str) -> Check:
    """Say that a thing should be better."""
    return Check(name, Level.WARNING, message, next_step)


def error(name: str, message: str, next_step: str) -> Check:
    """Say that a thing does not work."""
    return Check(name, Level.ERROR, message, next_step)


def explained(name: str, found: NewsletterError) -> Check:
    """Say an error we know as a check."""
    return error(name, found.message, found.next_step)


def of_finding(name: str, found: Finding) -> Check:
    """Say what a transport found out about itself."""
    if found.well:
        return well(name, found.sentence)
    say = error if found.grave else warning
    return say(name, found.sentence, found.next_step)


class Started:
    """Checks under way in a thread, which nobody waits for longer than they may take."""

    def __init__(self, name: str, look: Look, within: float) -> None:
        self._name = name
        self._within = within
        self._ends = time.monotonic() + within
        self._found: list[Check] = []
        self._thread = threading.Thread(target=self._run, args=(look,), name=name, daemon=True)
        self._thread.start()

    def wait(self) -> list[Check]:
        """Return what was found; what takes too long is an error, and is left behind."""
        self._thread.join(max(0.0, self._ends - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            found.append(
                error(
                    self._name,
                    f"There was no answer within {self._within:g} s.",
                    "Check the network and the address; then run `newsletter-bot doctor` again.",
                )
            )
        return found

    def _run(self, look: Look) -> None:
        try:
            for one in look():
                self._found.append(one)
        except NewsletterError as found:
            self._found.append(explained(self._name, found))
        except Exception as found:  # noqa: BLE001 - whatever is broken, doctor tells of it
            self._found.append(_unforeseen(self._name, found))


def _unforeseen(name: str, found: Exception) -> Check:
    said = " ".join(str(found).split())[:300]
    return error(
        name,
        f"Looking at it failed: {type(found).__name__}: {said}",
        "Nothing was changed. If the words say nothing to you, report them as a fault.",
    )
