"""How well mails are read, counted as the issue's targets are: by recipient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from newsletter_bot.feedback.mails.model import Fault, Reading


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a mail is, by somebody who read it; without `faults` only addresses are known."""

    name: str
    kind: str
    recipients: tuple[str, ...]
    faults: tuple[str, ...] = ()


@dataclass
class Figures:
    """Counts; the shares are of recipients."""

    mails: int = 0
    kinds: int = 0
    recipients: int = 0
    found: int = 0
    hard: int = 0
    hard_found: int = 0
    others: int = 0
    false_hard: int = 0
    wrong: list[str] = field(default_factory=list)

    def count(self, wanted: Wanted, reading: Reading) -> None:
        """Compare one mail's reading with what is wanted."""
        self.mails += 1
        self.kinds += reading.kind == wanted.kind
        if reading.kind != wanted.kind:
            self.wrong.append(f"{wanted.name}: {reading.kind}, not {wanted.kind}")
        told = {
            address.casefold(): one
            for one in reversed(reading.recipients)
            for address in (one.final, one.address)
            if address
        }
        for number, address in enumerate(wanted.recipients):
            self.recipients += 1
            one = told.get(address.casefold())
            self.found += one is not None
            if one is None:
                self.wrong.append(f"{wanted.name}: {address} was not found")
            if wanted.faults:
                self._fault(wanted, wanted.faults[number], one.fault if one else None)

    def _fault(self, wanted: Wanted, fault: str, told: Fault | None) -> None:
        if fault == Fault.HARD:
            self.hard += 1
            self.hard_found += told is Fault.HARD
        else:
            self.others += 1
            self.false_hard += told is Fault.HARD
        if (fault == Fault.HARD) != (told is Fault.HARD):
            self.wrong.append(f"{wanted.name}: {told}, not {fault}")

    @property
    def found_share(self) -> float:
        """How many of the recipients were found."""
        return self.found / self.recipients if self.recipients else 1.0

    @property
    def recall(self) -> float:
        """How many of the hard ones are called hard."""
        return self.hard_found / self.hard if self.hard else 1.0

    @property
    def false_share(self) -> float:
        """How many of the others are called hard."""
        return self.false_hard / self.others if self.others else 0.0

    def lines(self) -> Iterable[str]:
        """Return the figures as text."""
        yield f"mails            {self.mails}, of the right kind {self.kinds}"
        yield f"recipients       {self.found} of {self.recipients} found: {self.found_share:.1%}"
        if self.hard or self.others:
            yield f"hard             {self.hard_found} of {self.hard}: {self.recall:.1%}"
            yield f"falsely hard     {self.false_hard} of {self.others}: {self.false_share:.1%}"
