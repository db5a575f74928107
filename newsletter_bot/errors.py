"""The exception tree: each class has an exit code and a next step for the operator.

    NewsletterError            1   checks failed, or the numbers do not add up
    ├── UsageError             2   the command was asked for something it cannot do
    ├── DataError             65   an issue file, CSV or message that cannot be read
    ├── UnavailableError      69   something this machine lacks (a browser, a database server)
    ├── TryAgainError         75   the weather was bad; nothing is lost, run it again
    │   └── BusyError         75   another process does it just now
    └── ConfigurationError    78   newsletter.toml or the environment

The numbers are those of BSD `sysexits.h`, so that cron jobs and scripts can branch on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Severity(StrEnum):
    """How bad a problem is: an error stops `send`, a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a file: where (a line counted from 1), which rule, and a sentence."""

    line: int
    rule: str
    severity: Severity
    message: str

    def at(self, path: Path | str) -> str:
        """Say the problem as compilers do: `file:line: severity: sentence [rule]`."""
        return f"{path}:{self.line}: {self.severity}: {self.message} [{self.rule}]"


class NewsletterError(Exception):
    """Anything we can explain to an operator in a sentence and a next step."""

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step


class UsageError(NewsletterError):
    """The command line asks for something that cannot be done as asked."""

    exit_code = 2


class DataError(NewsletterError):
    """Input that cannot be read: the file stays as it was and nothing is written."""

    exit_code = 65


class IssueFileError(DataError):
    """An issue file with errors: carries every problem found, with its line."""

    def __init__(
        self, path: Path, problems: tuple[Problem, ...], exit_code: int = DataError.exit_code
    ) -> None:
        count = sum(p.severity is Severity.ERROR for p in problems)
        lines = "\n".join(p.at(path) for p in problems)
        super().__init__(
            f"{path} has {count} error{'s' if count != 1 else ''}:\n{lines}",
            "Mend the lines named above; nothing was written.",
        )
        self.exit_code = exit_code
        self.path = path
        self.problems = problems


class UnavailableError(NewsletterError):
    """A thing this machine lacks or cannot reach, which trying again would not change."""

    exit_code = 69


class TryAgainError(NewsletterError):
    """Bad weather: everything is kept, and the same command goes on where it stopped."""

    exit_code = 75


class BusyError(TryAgainError):
    """Another process does the same thing just now: there is nothing to mend."""


class ConfigurationError(NewsletterError):
    """newsletter.toml or the environment is wrong; names the file, the key and a remedy."""

    exit_code = 78
