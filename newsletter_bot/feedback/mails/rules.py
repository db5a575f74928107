"""What servers say, and whose fault it is: the ordered table of `rules.toml`, compiled once."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources

from newsletter_bot.feedback.mails.model import Fault


class Stage(StrEnum):
    """When a rule is asked."""

    SURE = "sure"  # at once
    UNSURE = "unsure"  # only when the enhanced code tells nothing


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: a name that is shown, what it means, the words, and where they come from."""

    name: str
    fault: Fault
    words: re.Pattern[str]
    note: str


@cache
def rules(stage: Stage) -> tuple[Rule, ...]:
    """Return the rules of a stage in their order."""
    table = tomllib.loads(_file("rules.toml"))
    return tuple(
        Rule(
            name=row["name"],
            fault=Fault(row["class"]),
            words=re.compile("|".join(row["words"]).replace("<who>", table["who"])),
            note=row["note"],
        )
        for row in table["rule"]
        if row["stage"] == stage
    )


@cache
def phrase(name: str) -> re.Pattern[str]:
    """Return the phrases of `phrases.toml` under a name, any of which may match."""
    words: list[str] = tomllib.loads(_file("phrases.toml"))[name]
    return re.compile("|".join(words), re.IGNORECASE | re.DOTALL)


@cache
def _file(name: str) -> str:
    return (resources.files("newsletter_bot.feedback.mails") / name).read_text(encoding="utf-8")
