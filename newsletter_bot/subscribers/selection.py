"""Selection: which of the people on its lists an issue is for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from newsletter_bot.subscribers.consent import Frequency
from newsletter_bot.subscribers.segment_rules import Segment
from newsletter_bot.subscribers.segment_table import read_segment, rule_table


@dataclass(frozen=True, slots=True)
class Selection:
    """An issue is for those who chose its frequency, and match its segment where it has one.

    Whoever is asked for is decided when the issue is planned, with the rules as they are then.
    """

    frequency: Frequency = Frequency.EVERY
    segment: Segment | None = None

    def to_json(self) -> dict[str, Any]:
        """Write it for the ledger; what is usual is left out."""
        said: dict[str, Any] = {}
        if self.frequency is not Frequency.EVERY:
            said["frequency"] = self.frequency.value
        if self.segment is not None:
            said["segment"] = {"name": self.segment.name, "rules": rule_table(self.segment.rule)}
        return said

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Selection:
        """Read back what `to_json` wrote, though fields and lists may be gone since."""
        frequency = Frequency(said.get("frequency", Frequency.EVERY))
        found = said.get("segment")
        segment = found and read_segment(found["rules"], found["name"])
        return cls(frequency, segment or None)

    def seal(self, rendering: str, lists: Sequence[str]) -> str:
        """Return the name of exactly these words for exactly these people: what is approved.

        It changes with the rendering (its hash), the lists, the frequency and a segment's rules.
        """
        whole = json.dumps([rendering, list(lists), self.to_json()], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()


USUAL = Selection()
